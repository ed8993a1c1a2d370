//! Transaction layer packets (PCI Express Base 2.2), as double words of which the first byte is the highest.

/// Bytes of a double word.
pub(crate) const DWORD: usize = 4;
/// A page that no request may leave.
const PAGE: u64 = 4096;

/// Status of a completion (2.2.9).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Successful = 0,
    UnsupportedRequest = 1,
}

/// A packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tlp {
    Read {
        requester: u16,
        tag: u8,
        address: u64,
        dwords: u32,
    },
    Write {
        requester: u16,
        tag: u8,
        address: u64,
        /// Whole double words; bytes that are not enabled are none of the card's.
        data: Vec<u8>,
    },
    Completion {
        completer: u16,
        requester: u16,
        tag: u8,
        status: Status,
        /// Bytes that this one and those after it carry.
        byte_count: u32,
        lower_address: u8,
        data: Vec<u8>,
        poisoned: bool,
    },
}

/// Why a packet of the card is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the card sent a packet that {rule}: {dwords:08x?}")]
pub struct Malformed {
    rule: &'static str,
    dwords: Vec<u32>,
}

impl Tlp {
    pub(crate) fn encode(&self) -> Vec<u32> {
        let length = |dwords: usize| dwords as u32 & 0x3ff;
        match self {
            Tlp::Read { requester, tag, address, dwords } => {
                let enables = if *dwords == 1 { 0x0f } else { 0xff };
                let mut packet = vec![length(*dwords as usize), request(*requester, *tag, enables)];
                push_address(&mut packet, *address);
                packet
            }
            Tlp::Write { requester, tag, address, data } => {
                let dwords = data.len() / DWORD;
                let enables = if dwords == 1 { 0x0f } else { 0xff };
                let mut packet = vec![0x4000_0000 | length(dwords), request(*requester, *tag, enables)];
                push_address(&mut packet, *address);
                packet.extend(to_dwords(data));
                packet
            }
            Tlp::Completion {
                completer,
                requester,
                tag,
                status,
                byte_count,
                lower_address,
                data,
                poisoned,
            } => {
                let format = if data.is_empty() { 0x0a00_0000 } else { 0x4a00_0000 };
                let mut packet = vec![
                    format | u32::from(*poisoned) << 14 | length(data.len() / DWORD),
                    u32::from(*completer) << 16 | (*status as u32) << 13 | byte_count & 0xfff,
                    u32::from(*requester) << 16 | u32::from(*tag) << 8 | u32::from(lower_address & 0x7f),
                ];
                packet.extend(to_dwords(data));
                packet
            }
        }
    }

    /// Reads what the card sent, strictly.
    pub(crate) fn decode(dwords: &[u32]) -> Result<Tlp, Malformed> {
        let wrong = |rule| Malformed { rule, dwords: dwords.iter().take(8).copied().collect() };
        let [first, second, third, ..] = *dwords else { return Err(wrong("is shorter than a header")) };
        let length = match first & 0x3ff {
            0 => 1024,
            length => length as usize,
        };
        let (has_data, long) = (first >> 30 & 1 == 1, first >> 29 & 1 == 1);
        let header = if long { 4 } else { 3 };
        let expected = header + if has_data { length } else { 0 };
        if dwords.len() != expected {
            return Err(wrong("is not as long as its header says"));
        }
        let data: Vec<u8> = dwords[header..].iter().flat_map(|dword| dword.to_be_bytes()).collect();
        let (requester, tag) = ((second >> 16) as u16, (second >> 8) as u8);
        match first >> 24 & 0x1f {
            0 => {
                let address = if long { u64::from(third) << 32 | u64::from(dwords[3]) } else { third.into() };
                if long && third == 0 {
                    return Err(wrong(
                        "has a header of four double words for an address below 4 GiB (2.2.4.1)",
                    ));
                }
                if address & 3 != 0 {
                    return Err(wrong("has an address inside a double word"));
                }
                if address % PAGE + (length * DWORD) as u64 > PAGE {
                    return Err(wrong("crosses a border of 4 KiB (2.2.7)"));
                }
                // First and last byte enables: all that LitePCIe asks for.
                let enables = second & 0xff;
                if enables != if length == 1 { 0x0f } else { 0xff } {
                    return Err(wrong("does not enable all its bytes"));
                }
                Ok(match has_data {
                    true => Tlp::Write { requester, tag, address, data },
                    false => Tlp::Read { requester, tag, address, dwords: length as u32 },
                })
            }
            0x0a => {
                let status = match second >> 13 & 7 {
                    0 => Status::Successful,
                    _ => Status::UnsupportedRequest,
                };
                Ok(Tlp::Completion {
                    completer: requester,
                    requester: (third >> 16) as u16,
                    tag: (third >> 8) as u8,
                    status,
                    byte_count: second & 0xfff,
                    lower_address: third as u8 & 0x7f,
                    data,
                    poisoned: first >> 14 & 1 == 1,
                })
            }
            _ => Err(wrong("is neither a memory request nor a completion")),
        }
    }
}

fn request(requester: u16, tag: u8, enables: u32) -> u32 {
    u32::from(requester) << 16 | u32::from(tag) << 8 | enables
}

/// Three double words of header below 4 GiB, four above.
fn push_address(packet: &mut Vec<u32>, address: u64) {
    if address >> 32 != 0 {
        packet[0] |= 0x2000_0000;
        packet.push((address >> 32) as u32);
    }
    packet.push(address as u32);
}

fn to_dwords(data: &[u8]) -> impl Iterator<Item = u32> {
    data.chunks_exact(DWORD).map(|bytes| u32::from_be_bytes(bytes.try_into().expect("four bytes")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_read_back() {
        let data: Vec<u8> = (0..32).collect();
        for packet in [
            Tlp::Read { requester: 0x0300, tag: 7, address: 0x12_3456_7000, dwords: 128 },
            Tlp::Read { requester: 0, tag: 0, address: 0xfff0_0004, dwords: 1 },
            Tlp::Write { requester: 0x0300, tag: 32, address: 0x8000_0000_0000, data: data.clone() },
            Tlp::Completion {
                completer: 1,
                requester: 0x0300,
                tag: 3,
                status: Status::Successful,
                byte_count: 96,
                lower_address: 0x40,
                data,
                poisoned: true,
            },
        ] {
            assert_eq!(Tlp::decode(&packet.encode()).unwrap(), packet);
        }
    }

    #[test]
    fn what_breaks_a_rule_is_named() {
        let packet = |address, dwords| Tlp::Read { requester: 0, tag: 0, address, dwords }.encode();
        let rule = |packet: &[u32]| Tlp::decode(packet).unwrap_err().rule;
        assert!(rule(&packet(0xfe0, 16)).contains("4 KiB"));
        assert!(rule(&packet(0x1002, 1)).contains("double word"));
        let mut low = packet(1 << 32, 1);
        low[2] = 0;
        assert!(rule(&low).contains("below 4 GiB"));
        assert!(rule(&[0x4000_0002, 0xff, 0, 1]).contains("as long"));
    }
}
