//! `mst list`: which serial ports and which PCIe cards there are.

use crate::Cli;
use crate::error::MstError;
use driver::pcie::vfio::sysfs::{DEVICES, Device, cards};
use serde::Serialize;
use serialport::SerialPortType;
use std::path::Path;

#[derive(Serialize)]
struct Port {
    link: String,
    device: String,
    /// What the kernel says of a PCIe card.
    #[serde(skip_serializing_if = "Option::is_none")]
    pcie: Option<Device>,
}

/// Lists the cards and the ports.
pub fn list(cli: &Cli) -> Result<(), MstError> {
    let serial = serialport::available_ports()?.into_iter().map(|port| Port {
        link: format!("serial:{}", port.port_name),
        device: device(&port.port_type),
        pcie: None,
    });
    let ports: Vec<Port> = cards(Path::new(DEVICES)).into_iter().map(card).chain(serial).collect();
    cli.print(&ports, || match ports.as_slice() {
        [] => "no PCIe card and no serial port; is the board plugged in?\n".to_owned(),
        ports => ports.iter().map(|port| format!("{}  {}\n", port.link, port.device)).collect(),
    })
}

fn card(card: Device) -> Port {
    let group =
        card.group.as_deref().map_or("no IOMMU group".to_owned(), |group| format!("IOMMU group {group}"));
    let driver = card.driver.as_deref().unwrap_or("no driver");
    let device = format!(
        "PCIe {:04x}:{:04x} subsystem {:04x}, bound to {driver}, {group}",
        card.vendor, card.device, card.subsystem
    );
    Port { link: format!("pcie:{}", card.address), device, pcie: Some(card) }
}

fn device(kind: &SerialPortType) -> String {
    match kind {
        SerialPortType::UsbPort(usb) => {
            let names = [&usb.manufacturer, &usb.product].map(|name| name.as_deref().unwrap_or(""));
            let text = format!("USB {:04x}:{:04x} {}", usb.vid, usb.pid, names.join(" "));
            text.trim_end().to_owned()
        }
        SerialPortType::PciPort => "PCI".to_owned(),
        SerialPortType::BluetoothPort => "Bluetooth".to_owned(),
        SerialPortType::Unknown => String::new(),
    }
}
