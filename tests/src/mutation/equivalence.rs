//! Whether a mutant does what the design does.
//!
//! Nothing may read the mutated bit: Yosys shows that in the whole core. Or ABC proves it of the mutated module: it stands beside the one
//! without the mutation; both get the same inputs, and no output may ever differ. Small memories are registers like others. Large ones and
//! the modules in it are cut out: what they are given counts as output (of data and places to write, what is written), what they answer as
//! input, which is the same for both as long as no output differs. ABC merges registers that are equal or constant by induction
//! (`scorr`), then searches for a proof or a difference (`pdr`). The registers start from zero in one proof, from one in another, and the
//! reset is an input like all others.
//!
//! The module's inputs may do anything, also what the core never does: a mutant that makes a difference only then is not proven.

use super::{Design, Mutant, TOP, read};
use crate::yosys;

/// The inverters that Yosys makes for mutations, by their names.
const INVERTERS: &str = "c:*mutate.cc:*mutate_inv*";
/// Words of a memory that is made of registers in a proof: what is written there and never read makes no difference.
const SMALL: u32 = 16;
/// Keeps from a large memory what it is given and does not write. A file beside the scripts, and its text.
pub(super) const GATED_WRITES: (&str, &str) = ("gated_writes.v", include_str!("gated_writes.v"));
/// Seconds that ABC searches for a proof; without one the mutant counts as different.
const LIMIT: u32 = 20;

impl Design {
    /// Whether it can be shown that a mutant does what the design does.
    ///
    /// # Errors
    /// If a tool is missing or reports an error.
    pub fn equivalent(&self, mutant: &Mutant) -> Result<bool, String> {
        if self.unread(mutant)? {
            return Ok(true);
        }
        // A register with another clock is beyond these proofs, which know of one clock only.
        Ok(!mutant.changes_a_clock() && self.proven(mutant, "zero")? && self.proven(mutant, "one")?)
    }

    /// Whether nothing in the core reads the mutated bit: then Yosys removes an inverter in its place, with all that depends on it alone.
    fn unread(&self, mutant: &Mutant) -> Result<bool, String> {
        let name = format!("unread-{}", mutant.number);
        let inverted = mutant.command.replacen(&format!("-mode {} ", mutant.mode), "-mode inv ", 1);
        let script = format!(
            "read_rtlil design.il\nmutate {inverted}\nhierarchy -top {TOP}\nflatten\ntee -q -o {name}-before.txt select -list {INVERTERS}\n\
             opt_clean\ntee -q -o {name}.txt select -list {INVERTERS}\n"
        );
        yosys::run(&self.folder, &name, &script)?;
        if read(&self.folder.join(format!("{name}-before.txt")))?.trim().is_empty() {
            return Err(format!(
                "Yosys made no inverter {INVERTERS} for mutant {}: {inverted}",
                mutant.number
            ));
        }
        Ok(read(&self.folder.join(format!("{name}.txt")))?.trim().is_empty())
    }

    fn proven(&self, mutant: &Mutant, start: &str) -> Result<bool, String> {
        let name = format!("equivalence-{}-{start}", mutant.number);
        yosys::run(&self.folder, &name, &script(mutant, start, &format!("{name}.aig")))?;
        let commands =
            format!("read_aiger {name}.aig; strash; scorr; write_aiger {name}-merged.aig; pdr -T {LIMIT}");
        let said = yosys::abc(&self.folder, &commands)?;
        let path = self.folder.join(format!("{name}-merged.aig"));
        let merged = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(never_differs(&merged) || said.contains("Property proved"))
    }
}

/// Whether nothing is left of the circuit but an output that is 0: `pdr` calls that undecided.
fn never_differs(aiger: &[u8]) -> bool {
    let text = String::from_utf8_lossy(aiger);
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap_or("").split(' ').collect();
    // aig, variables, inputs, latches, outputs, gates; then the output.
    matches!(header.as_slice(), ["aig", _, _, "0", "1", "0", ..]) && lines.next() == Some("0")
}

/// Writes both copies as one circuit with one output, which is 1 where they differ.
fn script(mutant: &Mutant, start: &str, aiger: &str) -> String {
    let (module, (gated, _)) = (&mutant.module, GATED_WRITES);
    let prepare = |mutate: &str, name: &str| {
        format!(
            "read_rtlil design.il\n{mutate}rename {module} {name}\n\
             memory_map {name}/t:$mem_v2 {name}/r:SIZE<={SMALL} %i\n\
             techmap -max_iter 1 -map {gated} {name}/t:$mem_v2\nexpose -evert {name}/c:*\ndesign -stash {name}\n"
        )
    };
    let copies = prepare("", "gold") + &prepare(&format!("mutate {}\n", mutant.command), "gate");
    format!(
        "{copies}design -copy-from gold gold\ndesign -copy-from gate gate\nmiter -equiv -flatten gold gate miter\n\
         hierarchy -top miter\nsetundef -{start} -init\nasync2sync\nsimplemap\nopt -full -noff\ntechmap\n\
         opt -noff\ndffunmap\naigmap\nopt_clean\nsetundef -zero\nwrite_aiger -zinit {aiger}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::never_differs;

    #[test]
    fn only_a_constant_0_is_never_1() {
        assert!(never_differs(b"aig 3 3 0 1 0\n0\nc\n"));
        assert!(!never_differs(b"aig 3 3 0 1 0\n1\nc\n"));
        assert!(!never_differs(b"aig 3 3 0 1 0\n2\nc\n"));
        assert!(!never_differs(b"aig 4 3 1 1 0\n8\n0\n"));
        assert!(!never_differs(b""));
    }
}
