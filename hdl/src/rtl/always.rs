//! Pieces of a module's text, and how they are joined.

/// A clocked block: branches tried in order.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Always {
    /// Condition and statements; no condition means always (or else).
    branches: Vec<(Option<String>, Vec<String>)>,
    /// Branches stand beside each other instead of excluding each other.
    parallel: bool,
}

#[derive(Debug)]
pub(super) enum Chunk {
    Comment(Vec<String>),
    /// Declarations and assignments, which may stand close together.
    Lines(Vec<String>),
    Block(Vec<String>),
    Always(Always),
    /// Text, already joined, for formal tools only.
    Formal(String),
}

impl Always {
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

    /// Appends a block, or merges it with the one before if both have the same conditions; declarations between them
    /// move ahead.
    pub fn add(always: Always, chunks: &mut Vec<Chunk>) {
        let last = chunks.iter().rposition(|chunk| !matches!(chunk, Chunk::Lines(_)));
        let conditions = |block: &Always| block.branches.iter().map(|b| b.0.clone()).collect::<Vec<_>>();
        if let Some(position) = last
            && let Chunk::Always(earlier) = &mut chunks[position]
            && !earlier.parallel
            && conditions(earlier) == conditions(&always)
        {
            for (branch, (_, statements)) in earlier.branches.iter_mut().zip(always.branches) {
                branch.1.extend(statements);
            }
            let merged = chunks.remove(position);
            chunks.push(merged);
        } else {
            chunks.push(Chunk::Always(always));
        }
    }

    fn lines(&self) -> Vec<String> {
        let mut lines = vec!["always @(posedge clk) begin".to_owned()];
        let mut open = false;
        for (condition, statements) in &self.branches {
            let chained = open && !self.parallel;
            if open && self.parallel {
                lines.push("    end".to_owned());
            }
            match (condition, chained) {
                (Some(condition), true) => lines.push(format!("    end else if ({condition}) begin")),
                (Some(condition), false) => lines.push(format!("    if ({condition}) begin")),
                (None, true) => lines.push("    end else begin".to_owned()),
                (None, false) => {}
            }
            open = condition.is_some() || chained;
            let indent = if open { "        " } else { "    " };
            lines.extend(statements.iter().map(|statement| format!("{indent}{statement}")));
        }
        if open {
            lines.push("    end".to_owned());
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
            Chunk::Always(always) => always.lines(),
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
