//! PKCS#11 modules, each loaded and initialised once per process, however many custodians use it:
//! the standard allows no more. Tokens and keys are not known here.

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
    /// Held for reading during each call, for writing while the module is reinitialised: no call
    /// may be in progress then.
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    context: Option<Pkcs11>,
    /// Incremented with each initialisation. Handles of sessions and keys from an earlier one may
    /// refer to others by now.
    generation: u64,
}

/// All modules requested so far.
fn modules() -> &'static Mutex<HashMap<PathBuf, Module>> {
    static MODULES: OnceLock<Mutex<HashMap<PathBuf, Module>>> = OnceLock::new();
    MODULES.get_or_init(Mutex::default)
}

/// A module in use: it is not reinitialised meanwhile.
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

    /// The module, if it is initialised: for releasing handles.
    pub(super) fn in_use_already(&self) -> InUse<'_> {
        InUse(self.0.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Finalises the module, to be reinitialised by the next use: after the hardware behind it was
    /// restarted, or if it reports that it is not initialised. Does nothing while others are in the
    /// middle of a call: they will notice themselves.
    pub(super) fn end(&self) {
        let Ok(mut state) = self.0.state.try_write() else {
            return;
        };
        if let Some(context) = state.context.take() {
            // It may already be finalised.
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
