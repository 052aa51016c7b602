//! Every store, from outside: the suite that all of them pass, and what each promises besides.

mod embedded;
mod memory;
mod redis;
