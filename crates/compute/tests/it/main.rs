//! The public interface of the crate, held against real servers: the same random requests are sent to them and computed
//! here, and replies, stored values and times to live are compared.

mod cases;
mod differential;
mod limits;
mod newer;
mod properties;
mod random;
mod records;
mod sort;
mod wire;
