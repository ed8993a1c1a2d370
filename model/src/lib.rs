//! Checkpoint import, QCFS conversion, the integer network and its bit-exact reference executor.
