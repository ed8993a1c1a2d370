//! Whether a mutant does what the design does: a proof by ABC, of the mutated module or of the whole core.
//!
//! The module stands beside a copy with the mutation; both get the same inputs, and no output may ever differ. Memories and the modules in it
//! are cut out: what they are given counts as output, what they answer as input, which is the same for both as long as no output differs.
//! ABC finds the registers that are always equal or constant (`scorr`), then searches for a proof or a difference (`pdr`).
//! The registers start from zero in one proof, from one in another, and the reset is an input like all others.

use super::{Design, Mutant, TOP};
use crate::yosys;
use std::fmt;

/// Seconds that ABC gets for a proof; without one the mutant counts as different.
const LIMIT: u32 = 20;

/// Of what the proof speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The mutated module, whatever its inputs do.
    Module,
    /// The whole core: what its modules give each other counts.
    Core,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Scope::Module => "its module does the same for all inputs",
            Scope::Core => "the core does the same for all inputs",
        })
    }
}

impl Design {
    /// Proves that a mutant does what the design does, if ABC can.
    ///
    /// # Errors
    /// If a tool is missing or reports an error.
    pub fn equivalent(&self, mutant: &Mutant) -> Result<Option<Scope>, String> {
        // A register with another clock is beyond these proofs, which know of one clock only.
        if mutant.changes_a_clock() {
            return Ok(None);
        }
        for scope in [Scope::Module, Scope::Core] {
            if self.proven(mutant, scope, "zero")? && self.proven(mutant, scope, "one")? {
                return Ok(Some(scope));
            }
        }
        Ok(None)
    }

    fn proven(&self, mutant: &Mutant, scope: Scope, start: &str) -> Result<bool, String> {
        let name = format!("equivalence-{}-{scope:?}-{start}", mutant.number).to_lowercase();
        yosys::run(&self.folder, &name, &script(mutant, scope, start, &format!("{name}.aig")))?;
        let said =
            yosys::abc(&self.folder, &format!("read_aiger {name}.aig; strash; scorr; pdr -T {LIMIT}"))?;
        std::fs::write(self.folder.join(format!("{name}.txt")), &said).map_err(|error| error.to_string())?;
        Ok(said.contains("Property proved"))
    }
}

/// Writes both copies as one circuit with one output, which is 1 where they differ.
fn script(mutant: &Mutant, scope: Scope, start: &str, aiger: &str) -> String {
    let top = match scope {
        Scope::Module => mutant.module.as_str(),
        Scope::Core => TOP,
    };
    // Each copy is prepared as a design of its own.
    let prepare = |mutate: &str, name: &str| {
        let flatten =
            if scope == Scope::Core { format!("hierarchy -top {top}\nflatten\n") } else { String::new() };
        format!(
            "read_rtlil design.il\n{mutate}{flatten}rename {top} {name}\nexpose -evert {name}\ndesign -stash {name}\n"
        )
    };
    let copies = prepare("", "gold") + &prepare(&format!("mutate {}\n", mutant.command), "gate");
    format!(
        "{copies}design -copy-from gold gold\ndesign -copy-from gate gate\nmiter -equiv -flatten gold gate miter\n\
         hierarchy -top miter\nflatten\nsetundef -{start} -init\nasync2sync\nsimplemap\nopt -full -noff\ntechmap\n\
         opt -noff\ndffunmap\naigmap\nopt_clean\nsetundef -zero\nwrite_aiger -zinit {aiger}\n"
    )
}
