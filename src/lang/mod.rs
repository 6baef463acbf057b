//! Service file text to `Definition`, with diagnostics like a good compiler's. Allocates: it runs in tools, never in the
//! supervisor or the engine.

pub mod definition;
