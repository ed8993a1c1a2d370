//! Mutants of `tiny`: how many small errors, sampled by Yosys or chosen by hand, the checks of [`crate::cosim`] find.
//!
//! Many mutants are compiled into one model, whose input `mutsel` selects one; 0 is the design as it is.
//!
//! - [`Design`]: the mutants and the models.
//! - [`chosen`]: those that were chosen by hand.
//! - [`judge`]: whether a check finds a mutant; [`beside`]: whether the tests of its component or a proof do.
//! - [`equivalence`]: whether a mutant is none, because it can be proven to do what the design does.
//! - [`record`]: the verdicts so far, for a run that goes on; [`options`]: what a run is told.

pub mod beside;
pub mod chosen;
pub mod equivalence;
pub mod judge;
pub mod options;
pub mod record;

use crate::cosim::{Cosim, DEADLINE};
use crate::yosys;
use hdl::rtl::VerilogFile;
use isa::CoreConfig;
use judge::Found;
use sim::Verilated;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

/// The module that is mutated, with all that is in it.
const TOP: &str = "mst_core";
/// The input that selects a mutant, and its bits.
const SELECT: (&str, u32) = ("mutsel", u32::BITS - options::MOST.leading_zeros());
/// One small error.
#[derive(Clone, Debug)]
pub struct Mutant {
    /// Its number: the value of the input that switches it on.
    pub number: u32,
    /// What is done to a bit: `inv`, `const0`, `const1`, or `cnot0`, `cnot1`, which invert it where another is 0 or 1; or `changed`.
    pub mode: String,
    /// The module.
    pub module: String,
    /// The wire and bit, if it has a name, else the cell's port; of a chosen mutant, its name.
    pub place: String,
    /// File and line of the generated Verilog, and the line itself; of a chosen mutant, the change.
    pub source: String,
    /// What Yosys is told to make it, without the option that lets it be selected; of a chosen mutant, the change.
    command: String,
}

/// What became of a mutant.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// A check finds it.
    Caught(Found),
    /// It is none: proven to do what the design does.
    Equivalent,
    /// No check finds it, and it is not proven equivalent.
    Survived,
}

/// The mutated core.
pub struct Design {
    /// The mutants, by number.
    pub mutants: Vec<Mutant>,
    /// One model or several.
    cores: Vec<Cosim>,
    /// The model that each mutant is in.
    core_of: Vec<usize>,
    /// Whether Yosys made them, and can prove that one is none.
    sampled: bool,
    folder: PathBuf,
    /// A hash of the Verilog: another design has other mutants.
    key: String,
}

impl Design {
    /// Samples `count` mutants and compiles them, and after them one of each `(module, wire)` in `wires`, inverted.
    ///
    /// # Errors
    /// If Yosys or Verilator is missing or reports an error.
    pub fn build(count: u32, seed: u64, wires: &[(&str, &str)]) -> Result<Design, String> {
        let folder = yosys::folder(&format!("mutation/{count}-{seed}"))?;
        let config = CoreConfig::preset("tiny").expect("a preset");
        let top = hdl::core::mst_core(&config).map_err(|error| error.to_string())?;
        let files = hdl::rtl::emit(&top).map_err(|error| error.to_string())?;
        let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
        for file in &files {
            write(&folder.join(&file.name), &file.text)?;
        }
        let (gated, text) = equivalence::GATED_WRITES;
        write(&folder.join(gated), text)?;
        let mut script = format!(
            "read_verilog {}\nprep -top {TOP}\nwrite_rtlil design.il\nmutate -list {count} -seed {seed} -o list.txt\n",
            names.join(" ")
        );
        for (number, (module, wire)) in wires.iter().enumerate() {
            script +=
                &format!("mutate -list 1 -module {module} -wire {wire} -mode inv -o wire{number}.txt\n");
        }
        yosys::run(&folder, "list", &script)?;
        let mut list = read(&folder.join("list.txt"))?;
        for number in 0..wires.len() {
            list += &read(&folder.join(format!("wire{number}.txt")))?;
        }
        let mutants: Vec<Mutant> =
            list.lines().zip(1..).map(|(line, number)| Mutant::parse(line, number, &files)).collect();
        if mutants.len() != count as usize + wires.len() {
            let found = mutants.len();
            return Err(format!("Yosys has {found} mutants, not {count} and one of each of {wires:?}"));
        }
        let core = Cosim {
            deadline: DEADLINE,
            verilated: compile(&folder, &mutants, &top)?,
            core: config,
            scratch: 0,
        };
        let (cores, core_of) = (vec![core], vec![0; mutants.len()]);
        Ok(Design { mutants, cores, core_of, sampled: true, folder, key: key(&files) })
    }

    /// The core with the mutant of a number.
    ///
    /// # Panics
    /// If there is none.
    pub fn core(&self, number: u32) -> Cosim {
        let mutant =
            self.mutants.iter().position(|mutant| mutant.number == number).expect("a mutant's number");
        select(&self.cores[self.core_of[mutant]], number)
    }

    /// Runs checks on the design without a mutant, which must pass them; the quick ones on further models of it.
    ///
    /// # Errors
    /// The check that it does not pass.
    pub fn baseline(&self, checks: &[judge::Check]) -> Result<(), String> {
        for (index, core) in self.cores.iter().enumerate() {
            let checks = if index == 0 { checks } else { judge::QUICK };
            if let Some(found) = judge::first_to_fail(&select(core, 0), checks) {
                return Err(format!("the design itself does not pass `{}`: {}", found.check, found.how));
            }
        }
        Ok(())
    }

    /// Judges a mutant: by the quick checks, a proof that it is none, the thorough checks. One that was chosen is none by no proof; what the
    /// checks do not find is up to the tests of its component and its module's proof.
    ///
    /// # Errors
    /// If a tool is missing or reports an error.
    pub fn judge(&self, mutant: &Mutant) -> Result<Verdict, String> {
        let core = self.core(mutant.number);
        if let Some(found) = judge::first_to_fail(&core, judge::QUICK) {
            return Ok(Verdict::Caught(found));
        }
        if self.sampled && self.equivalent(mutant)? {
            return Ok(Verdict::Equivalent);
        }
        if let Some(found) = judge::first_to_fail(&core, judge::THOROUGH) {
            return Ok(Verdict::Caught(found));
        }
        let beside = if self.sampled { None } else { beside::finds(mutant)? };
        Ok(beside.map_or(Verdict::Survived, Verdict::Caught))
    }
}

/// The core with one mutant, or with none for 0.
fn select(core: &Cosim, number: u32) -> Cosim {
    let verilated = core.verilated.clone().strapped(SELECT.0, number.into());
    Cosim { verilated: verilated.expect("each model has the input"), ..core.clone() }
}

/// One model of all mutants.
fn compile(
    folder: &Path,
    mutants: &[Mutant],
    top: &std::rc::Rc<hdl::rtl::Module>,
) -> Result<Verilated, String> {
    let mut script = "read_rtlil design.il\n".to_owned();
    for mutant in mutants {
        let (name, width) = SELECT;
        script += &format!("mutate -ctrl {name} {width} {} {}\n", mutant.number, mutant.command);
    }
    script += "write_verilog -noattr mutants.v\n";
    yosys::run(folder, "apply", &script)?;
    let netlist = VerilogFile { name: "mutants.v".to_owned(), text: read(&folder.join("mutants.v"))? };
    Verilated::build_netlist(top, vec![netlist], &[SELECT]).map_err(|error| error.to_string())
}

impl Mutant {
    fn changes_a_clock(&self) -> bool {
        let words: Vec<&str> = self.command.split_whitespace().collect();
        words.windows(2).any(|pair| pair[0] == "-port" && pair[1].to_lowercase().ends_with("clk"))
    }

    /// Reads a line of Yosys' list: `mutate -mode M -module N -cell C -port P -portbit I … -src FILE:LINE.COLUMN-…`.
    fn parse(line: &str, number: u32, files: &[VerilogFile]) -> Mutant {
        let command = line.strip_prefix("mutate ").unwrap_or(line).to_owned();
        let words: Vec<&str> = command.split_whitespace().collect();
        let value = |option: &str| {
            let at = words.iter().rposition(|word| *word == option);
            at.and_then(|at| words.get(at + 1)).copied().unwrap_or("")
        };
        let place = match value("-wire") {
            "" => format!("{}.{}[{}]", value("-cell"), value("-port"), value("-portbit")),
            wire => format!("{wire}[{}]", value("-wirebit")),
        };
        // The last of the places is the statement, those before it are declarations.
        let (file, line) = value("-src").split_once(':').unwrap_or(("", ""));
        let line: usize = line.split('.').next().and_then(|line| line.parse().ok()).unwrap_or(0);
        let text =
            files.iter().find(|f| f.name == file).and_then(|f| f.text.lines().nth(line.wrapping_sub(1)));
        Mutant {
            number,
            mode: value("-mode").to_owned(),
            module: value("-module").to_owned(),
            place,
            source: format!("{file}:{line}: {}", text.unwrap_or("").trim()),
            command,
        }
    }
}

fn key(files: &[VerilogFile]) -> String {
    let mut hasher = DefaultHasher::new();
    files.iter().for_each(|file| (&file.name, &file.text).hash(&mut hasher));
    format!("{:016x}", hasher.finish())
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}
