//! Renders the register map, the descriptor, the pass record and the layouts as one Markdown page.

use crate::{Field, descriptor, errors::ErrorCode, layout, pass, pcie, registers, soc};
use std::fmt::Write;

/// The text of `docs/isa.md`.
pub fn markdown() -> String {
    let mut page = String::from(
        "# Interface of the accelerator\n\nGenerated from the crate `isa`; a test keeps it in step. All numbers are little endian.\n\n## Registers\n\n\
         AXI4-Lite, 32 bits each.\n\n| offset | name | access | meaning |\n|---|---|---|---|\n",
    );
    page += &register_rows(registers::REGISTERS);
    page += "\n## Error codes\n\n| code | name | meaning |\n|---|---|---|\n";
    for &e in ErrorCode::ALL {
        let _ = writeln!(page, "| {} | `{e:?}` | {} |", e as u8, e.text());
    }
    let _ = write!(
        page,
        "\n## Layer descriptor\n\n{} words of 64 bits, one descriptor after the other; the first is aligned to {} bytes. Operations: ",
        descriptor::WORDS,
        descriptor::ALIGNMENT
    );
    for (i, op) in crate::Op::ALL.iter().enumerate() {
        let _ = write!(
            page,
            "{}{} `{}`",
            if i == 0 { "" } else { ", " },
            *op as u8,
            format!("{op:?}").to_lowercase()
        );
    }
    page += ". Schedules: 0 each step (`if`), 1 after all (`two_phase`).\n\n";
    page += &field_rows(descriptor::FIELDS);
    let _ = writeln!(
        page,
        "| {}..={} | | `rank` | `rank[slot]` is the threshold step `k` with `order[k] = slot`, eight bytes a word. |",
        descriptor::RANK_WORD,
        descriptor::WORDS - 1
    );
    page += "\n### Evaluation and addresses\n\n";
    page += &module_text(include_str!("descriptor.rs"), "# Order of evaluation");
    let _ = write!(
        page,
        "\n## Pass record\n\n8 to {} words of 64 bits, as many as the descriptor's `pass_words` says; a layer's records follow each other, and the \
         first is aligned to {} bytes.\n\n",
        pass::WORDS + 1,
        pass::ALIGNMENT
    );
    page += &field_rows(pass::FIELDS);
    let _ = writeln!(
        page,
        "| {}..={} | | `table` | The segments, one a word: byte offset in bits 31:0, `dy` in bits 43:32, `dx` in bits 59:48. |\n",
        pass::SEGMENT_WORD,
        pass::WORDS - 1
    );
    page += &module_text(include_str!("pass.rs"), "# Positions");
    page += "\n## Memory layout\n\n";
    page += &module_text(include_str!("layout.rs"), "# Spike planes");
    let _ = writeln!(page, "\nA parameter block has {} rows.", layout::PARAMETER_ROWS);
    page += "\n## Random spike masking\n\n";
    page += &module_text(include_str!("mask.rs"), "A neuron's LFSR");
    page += "\n## The system on a chip\n\n`mst_soc` is the core with memory of its own, reached over a serial line. ";
    let _ = write!(
        page,
        "Bus addresses: memory from 0x{:08x} on, the core's registers from 0x{:08x} on, its own from 0x{:08x} on:\n\n\
         | offset | name | access | meaning |\n|---|---|---|---|\n",
        soc::MEMORY_BASE,
        soc::CORE_BASE,
        soc::SOC_BASE
    );
    page += &register_rows(soc::REGISTERS);
    page.push('\n');
    page += &module_text(include_str!("soc.rs"), "# Serial line");
    page += "\n## The PCIe card\n\n`mst_pcie` is the core with memory of its own, on a PCIe card. ";
    let _ = write!(
        page,
        "In BAR 0: LitePCIe's registers from 0x{:05x} on, the core's from 0x{:05x} on, its own from 0x{:05x} on:\n\n\
         | offset | name | access | meaning |\n|---|---|---|---|\n",
        pcie::LITEPCIE_BASE,
        pcie::CORE_BASE,
        pcie::CARD_BASE
    );
    page += &register_rows(pcie::REGISTERS);
    page.push('\n');
    page += &module_text(include_str!("pcie.rs"), "# Memory and streams");
    page
}

fn field_rows(fields: &[Field]) -> String {
    let mut rows = "| word | bits | field | meaning |\n|---|---|---|---|\n".to_owned();
    for f in fields {
        let doc = f.doc.replace("[`", "`").replace("`]", "`");
        let _ = writeln!(rows, "| {} | {}:{} | `{}` | {doc} |", f.word, f.lsb + f.width - 1, f.lsb, f.name);
    }
    rows
}

fn register_rows(list: &[registers::Register]) -> String {
    let mut rows = String::new();
    for r in list {
        let access = match r.access {
            registers::Access::ReadOnly => "read",
            registers::Access::ReadWrite => "read, write",
            registers::Access::WriteOne => "write 1",
        };
        let _ = writeln!(rows, "| 0x{:03x} | `{}` | {access} | {} |", r.offset, r.name, r.doc);
    }
    rows
}

/// The module documentation of a source file from the line that starts with `from`, headings moved two levels down.
fn module_text(source: &str, from: &str) -> String {
    let lines = source
        .lines()
        .take_while(|l| l.starts_with("//!"))
        .map(|l| l.trim_start_matches("//!").trim_start_matches(' '));
    let mut text = String::new();
    for line in lines.skip_while(|l| !l.starts_with(from)) {
        let heading = if line.starts_with("# ") { "###" } else { "" };
        text += &format!("{heading}{}\n", line.replace("[`", "`").replace("`]", "`"));
    }
    text
}

#[cfg(test)]
mod tests {
    #[test]
    fn page_is_in_step() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/isa.md");
        let page = super::markdown();
        if std::env::var_os("MST_UPDATE_DOCS").is_some() {
            std::fs::write(path, &page).unwrap();
        }
        let found = std::fs::read_to_string(path).unwrap_or_default();
        assert!(found == page, "docs/isa.md differs from the crate: run the test with MST_UPDATE_DOCS=1");
    }
}
