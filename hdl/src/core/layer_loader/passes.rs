//! The pass record: received word by word, checked, handed to the fetcher.

use isa::pass::SEGMENT_WORD;
use isa::{MAX_SEGMENTS, pass};

use super::super::fields::{Fields, Record};
use super::super::neuron_control::rank_bits;
use super::super::pass_check;
use super::{Beat, Descriptor, Jobs, Loader, Parts, Sections, State};
use crate::rtl::{Expr, index_width, lit, mux};

/// The record of the pass that is loaded.
pub(super) struct PassRecord {
    pub fields: Fields,
    /// It is to be loaded before the job.
    pub due: Expr,
    /// The fetcher has not yet taken it.
    pub held: Expr,
    /// Bank of its segments.
    pub bank: Expr,
}

/// The outcome of its checks.
pub(super) struct PassCheck {
    pub done: Expr,
    pub bad: Expr,
    pub code: Expr,
}

impl Loader<'_> {
    /// Registers of the record; what arrives is connected by [`Loader::receive_pass`].
    pub(super) fn pass_record(&mut self, descriptor: &Descriptor) -> PassRecord {
        self.m.comment("Pass record: of every job of a layer of several passes, else of its first job.");
        let m = &mut *self.m;
        let words: Vec<Expr> = (0..SEGMENT_WORD).map(|i| m.reg(&format!("record_{i}"), 64)).collect();
        let names: Vec<&'static str> = pass::FIELDS.iter().map(|field| field.name).collect();
        for (i, word) in words.iter().enumerate() {
            Record::Pass.unused_bits(m, word, i, &names);
        }
        let fields = Fields::slices(&words, Record::Pass, &names);
        let due = m.reg_reset("record_due", 1, 0);
        m.set_if(&due, &descriptor.begin, &lit(1, 1));
        let held = m.reg_reset("record_held", 1, 0);
        let bank = m.reg_reset("record_bank", 1, 0);
        self.record_words = words;
        PassRecord { fields, due, held, bank }
    }

    pub(super) fn receive_pass(
        &mut self,
        beat: &Beat,
        descriptor: &Descriptor,
        (record, jobs, sections): (&PassRecord, &Jobs, &Sections),
        parts: &Parts,
    ) -> PassCheck {
        let beat_words = self.config.bus_bits / 64;
        let [takes, checks] = [State::TakePass, State::CheckPass].map(|state| self.is(state));
        let received = self.m.named("record_received", &(&beat.valid & takes));
        let position = sections.count.slice(0, index_width(32 / beat_words));
        for (i, word) in std::mem::take(&mut self.record_words).iter().enumerate() {
            let (of_beat, part) = (i as u32 / beat_words, i as u32 % beat_words);
            let here = &received & position.eq_lit(of_beat.into());
            self.m.set_if(word, &here, &beat.data.slice(64 * part, 64));
        }
        let m = &mut *self.m;
        let mut inputs = record.fields.connect(&pass_check::FIELDS);
        inputs.extend(descriptor.layer.connect(&pass_check::LAYER_FIELDS));
        inputs.push(("active", checks));
        let check = m.instance("pass_check", &parts.pass_check, &inputs);
        let PassRecord { due, held, bank, .. } = record;
        let done = check.output("done");
        let good = m.named("record_good", &(&done & !check.output("bad")));
        m.set_if(due, &good, &lit(0, 1));
        m.set_if(due, &(&jobs.loaded & &jobs.several_passes), &lit(1, 1));
        let taken = m.input_doc("pass_taken", 1, "the fetcher has copied the record");
        m.set_if(held, &good, &lit(1, 1));
        m.set_if(held, &taken, &lit(0, 1));
        m.comment("The next record goes to the other bank.");
        m.set_if(bank, &taken, &!bank);
        let place = mux(&descriptor.received, &descriptor.position, &position);
        let tables = [
            ("descriptor_received", descriptor.received.clone()),
            ("pass_received", received),
            ("position", place),
            ("data", beat.data.clone()),
            ("descriptor_bank", descriptor.index.bit(0)),
            ("pass_bank", bank.clone()),
            ("layer_bank", m.input_doc("layer_bank", 1, "bank of the layer in the array")),
            ("segment_bank", m.input_doc("segment_bank", 1, "bank of the segment that is looked up")),
            (
                "segment_index",
                m.input_doc("segment_index", index_width(MAX_SEGMENTS), "segment that is looked up"),
            ),
            ("rank_index", m.input_doc("rank_index", rank_bits(), "slot that is looked up")),
        ];
        let tables = m.instance("tables", &parts.tables, &tables);
        for (name, doc) in [
            ("segment_base", "base of that segment"),
            ("segment_dy", "rows by which its tap lies below the first"),
            ("segment_dx", "columns by which its tap lies right of the first"),
            ("rank", "rank of that slot"),
        ] {
            m.output_doc(name, &tables.output(name), doc);
        }
        m.output_doc("pass_valid", held, "the record of the next pass is there");
        m.output_doc("pass_bank", bank, "bank of its segments");
        PassCheck { done, bad: check.output("bad"), code: check.output("code") }
    }

    /// The bank of the parameter block that is loaded next: blocks take turns, whatever bank of weights their job has.
    pub(super) fn parameter_bank(&mut self, jobs: &Jobs) -> Expr {
        let m = &mut *self.m;
        let bank = m.reg_reset("parameter_bank", 1, 0);
        m.set_if(&bank, &(&jobs.loaded & &jobs.last_pass), &!&bank);
        bank
    }

    /// What the array is told of the pass of each bank.
    pub(super) fn tells_pass(&mut self, record: &PassRecord, jobs: &Jobs) {
        let of_job = [
            ("job_diagonal", record.fields["diagonal"].clone(), "its pass is diagonal"),
            ("job_shift", record.fields["shift"].clone(), "power of two of its pass"),
            ("job_first_pass", jobs.first_pass.clone(), "its pass is the tile's first"),
            ("job_last_pass", jobs.last_pass.clone(), "its pass is the tile's last"),
        ];
        let m = &mut *self.m;
        for bank in [0, 1] {
            let here = m.named(&format!("loaded_{bank}"), &(&jobs.loaded & jobs.bank.eq_lit(bank)));
            for (name, value, doc) in &of_job {
                let kept = m.sample(&format!("{name}_of_{bank}"), &here, value);
                m.output_doc(&format!("{name}_{bank}"), &kept, &format!("job of bank {bank}: {doc}"));
            }
        }
    }
}
