//! Names that are stored sealed: clients of a proxy get what clients of a server get whose names are plain, and the server
//! behind the proxy has none of the names in clear.

mod families;
mod found;
mod keyspace;
mod streamed;
mod tracking;
mod waiting;
mod world;
