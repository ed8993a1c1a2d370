//! `mst list`: which serial ports there are.

use crate::Cli;
use crate::error::MstError;
use serde::Serialize;
use serialport::SerialPortType;

#[derive(Serialize)]
struct Port {
    link: String,
    device: String,
}

/// Lists the ports.
pub fn list(cli: &Cli) -> Result<(), MstError> {
    let ports: Vec<Port> = serialport::available_ports()?
        .into_iter()
        .map(|port| Port { link: format!("serial:{}", port.port_name), device: device(&port.port_type) })
        .collect();
    cli.print(&ports, || match ports.as_slice() {
        [] => "no serial port; is the board plugged in?\n".to_owned(),
        ports => ports.iter().map(|port| format!("{}  {}\n", port.link, port.device)).collect(),
    })
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
