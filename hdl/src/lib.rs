//! The hardware construction layer and the accelerator's components.
