//! Everything Penstock asks of an operating system: legs, buffers, pipes, drivers.
