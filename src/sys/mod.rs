//! The only unsafe code and the only system calls. Knows no service.
