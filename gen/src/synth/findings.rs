//! What must not be in a synthesised core.

use super::family::{Family, Kind};
use super::yosys::Synthesis;

/// Memories of more rows must become block RAM. Of shallower ones that would waste most of each block, of which a wide row takes many.
const DISTRIBUTED_ROWS: u64 = 64;

/// Operators that would ask for a multiplier or a divider.
const MULTIPLIERS: [&str; 8] =
    ["$mul", "$macc", "$macc_v2", "$div", "$mod", "$divfloor", "$modfloor", "$pow"];

/// Whether a warning says nothing about the core, but about Yosys' own libraries.
fn is_expected(warning: &str) -> bool {
    let reads_its_library = warning.contains("Lexer warning: The SystemVerilog keyword");
    // Its map of UltraScale+ block RAM has wider ports than the cells; ports of ours are in lower case.
    let resized = warning.split_once("Resizing cell port ").and_then(|(_, rest)| rest.split_once(" from "));
    let port = resized.and_then(|(port, _)| port.rsplit_once('.')).map(|(_, port)| port);
    reads_its_library || port.is_some_and(|port| !port.chars().any(|c| c.is_ascii_lowercase()))
}

/// Everything that a core must not have, one line each.
pub fn findings(synthesis: &Synthesis, family: Family) -> Vec<String> {
    let mut findings = Vec::new();
    for (operator, number) in &synthesis.operators {
        if MULTIPLIERS.contains(&operator.as_str()) {
            findings.push(format!("{number} operators {operator}: there is no multiplier anywhere"));
        }
    }
    for (module, cells) in &synthesis.modules {
        for (cell, number) in cells {
            match family.kind(cell) {
                Some(Kind::Dsp) => findings.push(format!("{module}: {number} {cell}, allowed: no DSP block")),
                Some(Kind::Latch) => findings.push(format!("{module}: {number} {cell}, allowed: no latch")),
                _ => {}
            }
        }
    }
    for (memory, &rows) in synthesis.memories.iter().filter(|(_, rows)| **rows > DISTRIBUTED_ROWS) {
        let mapped = synthesis.mapped.get(memory).map_or("flip-flops", String::as_str);
        if !is_block_ram(mapped) {
            findings.push(format!("memory {memory}: {rows} rows became {mapped}, allowed: block RAM"));
        }
    }
    let unexpected = |warning: &&String| !is_expected(warning);
    findings.extend(synthesis.warnings.iter().filter(unexpected).map(|warning| format!("Yosys: {warning}")));
    findings
}

/// Whether a memory mapping of Yosys' libraries is a block RAM.
fn is_block_ram(mapped: &str) -> bool {
    ["DP16KD", "PDPW16KD", "XILINX_BLOCKRAM", "URAM"].iter().any(|name| mapped.contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::{BTreeMap, HashMap};

    fn clean() -> Synthesis {
        let cells = BTreeMap::from([("LUT4".to_owned(), 9), ("DP16KD".to_owned(), 1)]);
        Synthesis {
            modules: BTreeMap::from([("top".to_owned(), cells)]),
            operators: BTreeMap::from([("$add".to_owned(), 3)]),
            memories: BTreeMap::from([("top.rows".to_owned(), 65), ("top.small".to_owned(), 64)]),
            mapped: HashMap::from([("top.rows".to_owned(), "$__DP16KD_".to_owned())]),
            warnings: vec![
                "Lexer warning: The SystemVerilog keyword `bit' (at /share/abc9_map.v:35)".to_owned(),
            ],
        }
    }

    #[test]
    fn a_clean_core_has_no_findings() {
        assert_eq!(findings(&clean(), Family::Ecp5), Vec::<String>::new());
    }

    #[test]
    fn each_defect_is_found() {
        type Spoil = fn(&mut Synthesis);
        let spoil: [(&str, Spoil); 7] = [
            ("MULT18X18D", |s| _ = s.modules.get_mut("top").unwrap().insert("MULT18X18D".into(), 1)),
            ("$mul", |s| _ = s.operators.insert("$mul".into(), 1)),
            ("latch", |s| _ = s.modules.get_mut("top").unwrap().insert("$_DLATCH_P_".into(), 1)),
            ("top.rows", |s| _ = s.mapped.remove("top.rows")),
            ("top.rows", |s| _ = s.mapped.insert("top.rows".into(), "$__TRELLIS_DPR16X4_".into())),
            ("row_ready", |s| {
                s.warnings.push(
                    "Warning: Resizing cell port engine.scanner.row_ready from 2 bits to 1 bits.".into(),
                )
            }),
            ("implicitly", |s| s.warnings.push("Warning: Identifier `x' is implicitly declared.".into())),
        ];
        for (named, spoil) in spoil {
            let mut synthesis = clean();
            spoil(&mut synthesis);
            let found = findings(&synthesis, Family::Ecp5);
            assert!(found.len() == 1 && found[0].contains(named), "{named}: {found:?}");
        }
    }
}
