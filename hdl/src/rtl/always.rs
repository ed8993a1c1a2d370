//! Pieces of a module's text, and how they are joined.

/// Longest line of a statement beside its condition.
const LINE: usize = 104;

/// Registers that take values under the same conditions: branches tried in order.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Chain {
    /// Condition and statements; no condition means always (or else).
    branches: Vec<(Option<String>, Vec<String>)>,
    /// Branches stand beside each other instead of excluding each other.
    parallel: bool,
}

/// A clocked block: what a section of a module keeps from cycle to cycle.
#[derive(Debug, Default)]
pub(super) struct Process {
    chains: Vec<Chain>,
}

#[derive(Debug)]
pub(super) enum Chunk {
    Comment(Vec<String>),
    /// Declarations and assignments, which may stand close together.
    Lines(Vec<String>),
    Block(Vec<String>),
    Process(Process),
    /// Text, already joined, for formal tools only.
    Formal(String),
}

impl Chain {
    /// One more branch: `else if`, or `else` without a condition.
    pub fn branch(&mut self, condition: Option<String>, statement: String) {
        self.branches.push((condition, vec![statement]));
    }

    /// A statement under a condition of its own.
    pub fn parallel(&mut self, condition: &str, statement: String) {
        self.parallel = true;
        let condition = (condition != "1'b1").then(|| condition.to_owned());
        match self.branches.last_mut() {
            Some((last, statements)) if *last == condition => statements.push(statement),
            _ => self.branches.push((condition, vec![statement])),
        }
    }

    fn conditions(&self) -> impl Iterator<Item = &Option<String>> {
        self.branches.iter().map(|(condition, _)| condition)
    }

    /// What happens in reset, and the rest.
    fn split_reset(&self) -> (Option<&Vec<String>>, Chain) {
        match self.branches.split_first() {
            Some(((Some(condition), statements), rest)) if condition == "rst" => {
                (Some(statements), Chain { branches: rest.to_vec(), parallel: self.parallel })
            }
            _ => (None, self.clone()),
        }
    }

    fn lines(&self) -> Vec<String> {
        if let [(Some(condition), statements)] = self.branches.as_slice()
            && let [statement] = statements.as_slice()
            && condition.len() + statement.len() < LINE
        {
            return vec![format!("if ({condition}) {statement}")];
        }
        let mut lines = Vec::new();
        let mut open = false;
        for (condition, statements) in &self.branches {
            let chained = open && !self.parallel;
            if open && self.parallel {
                lines.push("end".to_owned());
            }
            match (condition, chained) {
                (Some(condition), true) => lines.push(format!("end else if ({condition}) begin")),
                (Some(condition), false) => lines.push(format!("if ({condition}) begin")),
                (None, true) => lines.push("end else begin".to_owned()),
                (None, false) => {}
            }
            open = condition.is_some() || chained;
            let indent = if open { "    " } else { "" };
            lines.extend(statements.iter().map(|statement| format!("{indent}{statement}")));
        }
        if open {
            lines.push("end".to_owned());
        }
        lines
    }
}

impl Process {
    pub fn of(chain: Chain) -> Process {
        Process { chains: vec![chain] }
    }

    /// Adds registers to the block of their section; declarations since it move ahead. A comment, an instance or a memory's port begins
    /// another section.
    pub fn add(chain: Chain, chunks: &mut Vec<Chunk>) {
        let last = chunks.iter().rposition(|chunk| !matches!(chunk, Chunk::Lines(_)));
        let Some((position, Chunk::Process(process))) =
            last.map(|position| (position, &mut chunks[position]))
        else {
            return chunks.push(Chunk::Process(Process::of(chain)));
        };
        if process.chains.iter().any(|chain| chain.parallel) {
            return chunks.push(Chunk::Process(Process::of(chain)));
        }
        match process.chains.iter_mut().find(|known| known.conditions().eq(chain.conditions())) {
            Some(known) => {
                for (branch, (_, statements)) in known.branches.iter_mut().zip(chain.branches) {
                    branch.1.extend(statements);
                }
            }
            None => process.chains.push(chain),
        }
        let merged = chunks.remove(position);
        chunks.push(merged);
    }

    /// Control state, which is reset, then data, which is not.
    fn lines(&self) -> Vec<String> {
        let indented = |lines: Vec<String>, by: &str| {
            lines.into_iter().map(|line| format!("{by}{line}")).collect::<Vec<_>>()
        };
        let mut lines = vec!["always @(posedge clk) begin".to_owned()];
        let split: Vec<_> = self.chains.iter().map(Chain::split_reset).collect();
        let reset: Vec<&String> = split.iter().filter_map(|(reset, _)| *reset).flatten().collect();
        let resets = split.iter().filter(|(reset, _)| reset.is_some()).count();
        if resets == 1 {
            for (chain, _) in self.chains.iter().zip(&split).filter(|(_, (reset, _))| reset.is_some()) {
                lines.extend(indented(chain.lines(), "    "));
            }
        } else if resets > 1 {
            lines.push("    if (rst) begin".to_owned());
            lines.extend(reset.into_iter().map(|statement| format!("        {statement}")));
            lines.push("    end else begin".to_owned());
            for (_, rest) in split.iter().filter(|(reset, _)| reset.is_some()) {
                lines.extend(indented(rest.lines(), "        "));
            }
            lines.push("    end".to_owned());
        }
        for (_, data) in split.iter().filter(|(reset, _)| reset.is_none()) {
            lines.extend(indented(data.lines(), "    "));
        }
        lines.push("end".to_owned());
        lines
    }
}

/// The text of all chunks, indented: blank lines around blocks and before comments.
pub(super) fn join(chunks: &[Chunk]) -> String {
    let mut text = String::new();
    let mut previous: Option<&Chunk> = None;
    for chunk in chunks {
        let close = matches!(
            (previous, chunk),
            (None | Some(Chunk::Comment(_)), _) | (Some(Chunk::Lines(_)), Chunk::Lines(_))
        );
        if !close {
            text.push('\n');
        }
        previous = Some(chunk);
        let lines = match chunk {
            Chunk::Comment(lines) | Chunk::Lines(lines) | Chunk::Block(lines) => lines.clone(),
            Chunk::Process(process) => process.lines(),
            Chunk::Formal(inside) => {
                text += &format!("`ifdef FORMAL\n{inside}`endif\n");
                continue;
            }
        };
        for line in &lines {
            // A directive stands at the beginning of its line.
            let indent = if line.starts_with('`') { "" } else { "    " };
            text += format!("{indent}{line}").trim_end();
            text.push('\n');
        }
    }
    text
}
