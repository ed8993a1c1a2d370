//! `mst_pcie` behind LitePCIe's own core, packet by packet.

mod faults;
mod host;
mod host_memory_slave;
mod litepcie;
mod registers;
mod streams;
