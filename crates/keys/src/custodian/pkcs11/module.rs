//! Modules of PKCS#11, each loaded and initialised once in a process, whoever uses it: the standard
//! allows no more. Tokens and keys are not known here.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard};

use cryptoki::context::{CInitializeArgs, CInitializeFlags, Pkcs11};
use cryptoki::error::{Error, RvError};

use crate::sync::lock;

/// A module of this process. Cheap to clone.
#[derive(Clone)]
pub(super) struct Module(Arc<Loaded>);

struct Loaded {
    path: PathBuf,
    /// Held for reading during each call, for writing while the module begins anew: nothing may be under
    /// way then.
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    context: Option<Pkcs11>,
    /// Grows each time the module begins. Numbers of sessions and keys from an earlier time may be those
    /// of others by now.
    generation: u64,
}

/// The modules that were ever asked for.
fn modules() -> &'static Mutex<HashMap<PathBuf, Module>> {
    static MODULES: OnceLock<Mutex<HashMap<PathBuf, Module>>> = OnceLock::new();
    MODULES.get_or_init(Mutex::default)
}

/// A module in use: it does not begin anew meanwhile.
pub(super) struct InUse<'a>(RwLockReadGuard<'a, State>);

impl InUse<'_> {
    pub(super) fn context(&self) -> Option<&Pkcs11> {
        self.0.context.as_ref()
    }

    pub(super) fn generation(&self) -> u64 {
        self.0.generation
    }
}

impl Module {
    /// The module at a path. Nothing is loaded yet.
    pub(super) fn at(path: &Path) -> Self {
        let mut modules = lock(modules());
        let module = modules.entry(path.to_owned()).or_insert_with(|| {
            Self(Arc::new(Loaded {
                path: path.to_owned(),
                state: RwLock::default(),
            }))
        });
        module.clone()
    }

    /// The file it is loaded from.
    pub(super) fn path(&self) -> &Path {
        &self.0.path
    }

    /// The module, loaded and initialised.
    pub(super) fn in_use(&self) -> Result<InUse<'_>, Error> {
        let state = &self.0.state;
        loop {
            let read = state.read().unwrap_or_else(PoisonError::into_inner);
            if read.context.is_some() {
                return Ok(InUse(read));
            }
            drop(read);
            let mut write = state.write().unwrap_or_else(PoisonError::into_inner);
            if write.context.is_none() {
                write.context = Some(begin(&self.0.path)?);
                write.generation += 1;
            }
        }
    }

    /// The module, if it is initialised: for giving back what was had of it.
    pub(super) fn in_use_already(&self) -> InUse<'_> {
        InUse(self.0.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Ends the module, to begin anew with the next use: after the hardware behind it was restarted, or
    /// where it says that nobody initialised it. Where others are in the middle of a call, nothing
    /// happens: they will see for themselves.
    pub(super) fn end(&self) {
        let Ok(mut state) = self.0.state.try_write() else {
            return;
        };
        if let Some(context) = state.context.take() {
            // It may have ended by itself.
            let _ = context.finalize();
        }
    }
}

fn begin(path: &Path) -> Result<Pkcs11, Error> {
    let context = Pkcs11::new(path)?;
    let arguments = CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK);
    match context.initialize(arguments) {
        // Another part of this process uses the same library.
        Ok(()) | Err(Error::Pkcs11(RvError::CryptokiAlreadyInitialized, _)) => Ok(context),
        Err(error) => Err(error),
    }
}
