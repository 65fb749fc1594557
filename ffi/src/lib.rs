//! The C door to the engine.
