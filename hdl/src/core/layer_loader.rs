//! Fetches descriptors and fills the buffers one job ahead.

use std::rc::Rc;

use isa::descriptor::WORDS;
use isa::{CoreConfig, ErrorCode};

use super::dma_read::length_bits;
use super::key_loader::{self, key_loader};
use super::layer_tables::layer_tables;
use super::{codes, descriptor_check::descriptor_check, layer_bits, pass_check::pass_check, shaped};
use crate::rtl::{Builder, Expr, Module, RtlError, lit, mux};
use buffers::Writes;
use descriptor::Descriptor;
use jobs::{Jobs, Rows};
use passes::{PassCheck, PassRecord};
use sections::Sections;

mod buffers;
mod descriptor;
mod jobs;
mod passes;
mod sections;

/// The states, in the order in which a layer passes through them.
#[derive(Clone, Copy)]
enum State {
    Next,
    Request,
    Receive,
    Check,
    Wait,
    Pass,
    TakePass,
    CheckPass,
    Parameters,
    TakeParameters,
    Matrix,
    TakeMatrix,
    Bias,
    TakeBias,
    Keys,
    Loaded,
    Handed,
}

/// The states and the names of their flags, in the order of the enumeration.
const STATES: [(State, &str); 17] = [
    (State::Next, "next"),
    (State::Request, "request"),
    (State::Receive, "receive"),
    (State::Check, "check"),
    (State::Wait, "wait"),
    (State::Pass, "pass"),
    (State::TakePass, "take_pass"),
    (State::CheckPass, "check_pass"),
    (State::Parameters, "parameters"),
    (State::TakeParameters, "take_parameters"),
    (State::Matrix, "matrix"),
    (State::TakeMatrix, "take_matrix"),
    (State::Bias, "bias"),
    (State::TakeBias, "take_bias"),
    (State::Keys, "keys"),
    (State::Loaded, "loaded"),
    (State::Handed, "handed"),
];

/// Fetches and checks one descriptor after the other, and loads the parameters and the matrix of each of its jobs into the bank
/// that the array does not use.
///
/// Works through the stream `weights`: descriptor (24 words), then for each job its pass record (of a layer of one pass with the first job alone), with a
/// new tile (attention: each job) the parameter block, for `scores` with a new
/// tile the bias rows, and the matrix: a slice of stored weights, or K or V as soon as the layer that makes them has completed. At most two jobs are
/// loaded ahead of `job_release`. The descriptor stays until the array has taken it (`layer_taken`), the record until the fetcher has (`pass_taken`).
/// A descriptor or record that fails a check raises `error` and the loader stops.
pub fn layer_loader(config: &CoreConfig, layer_fields: &[&'static str]) -> Result<Rc<Module>, RtlError> {
    shaped("layer_loader", config)?;
    let parts = Parts {
        tables: layer_tables(config)?,
        check: descriptor_check(config)?,
        pass_check: pass_check(config)?,
        keys: key_loader(config)?,
    };
    let doc = "Fetches and checks descriptors, and loads parameters, bias rows and matrix of each job one job ahead of the\n\
               array.";
    Module::build("layer_loader", doc, |m: &mut Builder| {
        let in_state = STATES.map(|(state, name)| {
            m.reg_reset(&format!("is_{name}"), 1, u64::from(state as u32 == State::Next as u32))
        });
        Loader { m, in_state, config, record_words: Vec::new() }.build(layer_fields, &parts);
    })
}

struct Parts {
    tables: Rc<Module>,
    check: Rc<Module>,
    pass_check: Rc<Module>,
    keys: Rc<Module>,
}

struct Loader<'a> {
    m: &'a mut Builder,
    /// A flag a state, in the order of the enumeration.
    in_state: [Expr; STATES.len()],
    config: &'a CoreConfig,
    /// The words of the pass record, until what arrives is connected.
    record_words: Vec<Expr>,
}

/// The ports that several sections read.
struct Ports {
    descriptor_base: Expr,
    descriptor_count: Expr,
    completed: Expr,
    layer_taken: Expr,
    job_release: Expr,
    request_ready: Expr,
}

/// The beat that arrived in the cycle before.
struct Beat {
    /// It is no word of K or V.
    valid: Expr,
    /// It is, and stays until `key_taken`.
    of_keys: Expr,
    key_taken: Expr,
    data: Expr,
    /// The next beat is taken.
    ready: Expr,
}

impl Loader<'_> {
    fn build(&mut self, layer_fields: &[&'static str], parts: &Parts) {
        let ports = self.ports();
        let beat = self.beat();
        let descriptor = self.descriptor(&ports, &beat, layer_fields, parts);
        let jobs = self.jobs(&descriptor, &ports.job_release);
        let rows = self.rows(&descriptor, &jobs);
        let job_base = self.matrix_base(&descriptor, &jobs);
        let record = self.pass_record(&descriptor);
        let sections = self.sections(&descriptor, &beat, (&record, &jobs), &ports.request_ready);
        let pass_check = self.receive_pass(&beat, &descriptor, (&record, &jobs, &sections), parts);
        self.tells_pass(&record, &jobs);
        let parameter_bank = self.parameter_bank(&jobs);

        let mut inputs = descriptor.layer.connect(&key_loader::FIELDS);
        inputs.extend([
            ("segment_words", record.fields["segment_words"].clone()),
            ("active", self.is(State::Keys)),
            ("rows", rows.key_rows.clone()),
            ("words", rows.key_words.clone()),
            ("job_base", job_base),
            ("request_ready", ports.request_ready.clone()),
            ("in_valid", beat.of_keys.clone()),
            ("in_data", beat.data.clone()),
        ]);
        let keys = self.m.instance("keys", &parts.keys, &inputs);
        self.m.assign(&beat.key_taken, &keys.output("in_ready"));
        let writes = Writes { sections: &sections, keys: &keys, beat: &beat, descriptor: &descriptor };
        self.write_buffers(&writes, [&jobs.bank, &parameter_bank]);
        self.requests(
            [&ports.descriptor_base, &ports.request_ready],
            &sections,
            &[keys.output("request_valid"), keys.output("request_offset"), rows.key_words.clone()],
        );
        self.m.output_doc("in_ready", &beat.ready, "a beat is taken if there is one");
        self.steps(
            &ports,
            [&descriptor.begin, &keys.output("done")],
            &descriptor,
            &beat,
            &jobs,
            &rows,
            &sections,
            (&record, &pass_check),
        );
        self.hands_over(&ports, &descriptor, &jobs, &rows, &sections.bias_bank, &pass_check);
        for field in isa::pass::FIELDS {
            self.m.output_doc(&format!("pass_{}", field.name), &record.fields[field.name], field.doc);
        }
        for &name in layer_fields {
            let doc = isa::descriptor::field(name).doc;
            self.m.output_doc(&format!("layer_{name}"), &descriptor.layer[name], doc);
        }
    }

    fn is(&self, state: State) -> Expr {
        self.in_state[state as usize].clone()
    }

    /// Goes from one state to another when `condition` holds; of one state at most one holds at a time, so that a flag depends on
    /// no more than the ways into and out of its own state.
    fn go(&mut self, from: State, condition: &Expr, to: State) {
        let flag = |state: State| &self.in_state[state as usize];
        let goes = flag(from) & condition;
        self.m.set_if(flag(to), &goes, &lit(1, 1));
        self.m.set_if(flag(from), &goes, &lit(0, 1));
    }

    /// A counter that goes back to 0 with `clear` and up by one with `count`.
    fn counter(&mut self, name: &str, width: u32, clear: &Expr, count: &Expr) -> Expr {
        let register = self.m.reg_reset(name, width, 0);
        self.m.set_if(&register, clear, &lit(0, width));
        self.m.set_if(&register, count, &register.inc());
        register
    }

    /// A sum that starts from `start` with `clear` and grows by `step` with `count`.
    fn sum(&mut self, name: &str, (clear, start): (&Expr, &Expr), count: &Expr, step: &Expr) -> Expr {
        let register = self.m.reg_reset(name, start.width(), 0);
        self.m.set_if(&register, clear, start);
        self.m.set_if(&register, count, &(&register + step));
        register
    }

    fn ports(&mut self) -> Ports {
        let m = &mut *self.m;
        m.fits("weights_ready", isa::MAX_LAYERS.into(), layer_bits());
        Ports {
            descriptor_base: m.input_doc("descriptor_base", 32, "byte offset of the first descriptor"),
            descriptor_count: m.input_doc("descriptor_count", layer_bits(), "descriptors of the run"),
            completed: m.input_doc("layers_completed", layer_bits(), "layers whose outputs are in memory"),
            layer_taken: m.input_doc("layer_taken", 1, "the array has copied the descriptor"),
            job_release: m.input_doc("job_release", 1, "the array is done with a job's bank"),
            request_ready: m.input_doc("request_ready", 1, "a request is taken if there is one"),
        }
    }

    fn beat(&mut self) -> Beat {
        let in_valid = self.m.input_doc("in_valid", 1, "a beat is there");
        let in_data = self.m.input_doc("in_data", self.config.bus_bits, "its data");
        let in_keys = self.is(State::Keys);
        let m = &mut *self.m;
        m.comment("A beat of K waits here while the transposer takes its words; any other is used at once.");
        let key_taken = m.wire("key_taken", 1);
        let of_keys = m.reg_reset("key_beat", 1, 0);
        let valid = m.reg_reset("beat_valid", 1, 0);
        let ready = m.named("beat_ready", &(!&of_keys | &key_taken));
        let arrives = m.named("arrives", &(&in_valid & &ready));
        m.set(&valid, &(&arrives & !&in_keys));
        m.set(&of_keys, &(!&ready | (&arrives & &in_keys)));
        let data = m.sample("beat", &ready, &in_data);
        Beat { valid, of_keys, key_taken, data, ready }
    }

    fn requests(
        &mut self,
        [descriptor_base, request_ready]: [&Expr; 2],
        sections: &Sections,
        [key_valid, key_offset, key_words]: &[Expr; 3],
    ) {
        let (in_keys, of_descriptor) = (self.is(State::Keys), self.is(State::Request));
        let bits = length_bits(self.config);
        self.m.comment("Descriptors follow each other.");
        let taken = &of_descriptor & request_ready;
        let step = lit(isa::descriptor::BYTES as u64, 32);
        let distance = self.m.reg_reset("descriptor_distance", 32, 0);
        self.m.set_if(&distance, &taken, &(&distance + step));
        let descriptor_offset = self.m.delay("descriptor_offset", &(descriptor_base + &distance));
        let m = &mut *self.m;
        m.comment("Requests.");
        let offset = mux(&of_descriptor, &descriptor_offset, &mux(&in_keys, key_offset, &sections.offset));
        let words = mux(&of_descriptor, &lit(WORDS as u64, bits), &sections.words);
        let valid = of_descriptor | &sections.requests | key_valid;
        m.output_doc("request_valid", &valid, "a request is offered, until it is taken");
        m.output_doc("request_offset", &offset, "its byte offset");
        m.output_doc("request_words", &mux(&in_keys, &key_words.zext(bits), &words), "its 64-bit words");
    }

    #[allow(clippy::too_many_arguments)]
    fn steps(
        &mut self,
        ports: &Ports,
        [begin, keys_done]: [&Expr; 2],
        descriptor: &Descriptor,
        beat: &Beat,
        jobs: &Jobs,
        rows: &Rows,
        sections: &Sections,
        (record, pass_check): (&PassRecord, &PassCheck),
    ) {
        let m = &mut *self.m;
        m.comment("The state.");
        let Descriptor { layer, attention, checked, bad, .. } = descriptor;
        let may_read = m.delay("may_read", &ports.completed.ge(&layer["weights_ready"]));
        let bank_free = jobs.banks_used.lt_lit(2) & (!attention | may_read);
        let PassCheck { done: pass_checked, bad: pass_bad, .. } = pass_check;
        let error = m.named("error_now", &((checked & bad) | &rows.tile_bad | (pass_checked & pass_bad)));
        let new_parameters = attention | &jobs.first_pass;
        let loads_bias = m.named("loads_bias", &(&descriptor.scores & &jobs.first_block));
        m.output_doc("error", &error, "a descriptor or record is refused; no request follows");
        let (ready, done) = (&ports.request_ready, &sections.done);
        let is_handed_over = &jobs.taken;
        self.go(State::Next, begin, State::Request);
        self.go(State::Request, ready, State::Receive);
        self.go(State::Receive, &(&beat.valid & &descriptor.last_beat), State::Check);
        self.go(State::Check, &(checked & !bad), State::Wait);
        let starts = &rows.waited & bank_free & !&rows.exhausted;
        self.go(State::Wait, &(&starts & &record.due), State::Pass);
        self.go(State::Wait, &(&starts & !&record.due), State::Parameters);
        self.go(State::Pass, &(ready & !&record.held), State::TakePass);
        self.go(State::TakePass, done, State::CheckPass);
        let pass_good = pass_checked & !pass_bad;
        self.go(State::CheckPass, &(&pass_good & &new_parameters), State::Parameters);
        self.go(State::CheckPass, &(&pass_good & !&new_parameters), State::Matrix);
        self.go(State::Parameters, ready, State::TakeParameters);
        self.go(State::TakeParameters, &(done & !attention), State::Matrix);
        self.go(State::TakeParameters, &(done & &loads_bias), State::Bias);
        self.go(State::TakeParameters, &(done & attention & !&loads_bias), State::Keys);
        self.go(State::Matrix, ready, State::TakeMatrix);
        self.go(State::TakeMatrix, done, State::Loaded);
        self.go(State::Bias, ready, State::TakeBias);
        self.go(State::TakeBias, done, State::Keys);
        self.go(State::Keys, keys_done, State::Loaded);
        self.go(State::Loaded, &!&jobs.last_of_layer, State::Wait);
        self.go(State::Loaded, &jobs.last_of_layer, State::Handed);
        self.go(State::Handed, is_handed_over, State::Next);
    }

    /// What the array is told of layer and job.
    fn hands_over(
        &mut self,
        ports: &Ports,
        descriptor: &Descriptor,
        jobs: &Jobs,
        rows: &Rows,
        bias_bank: &Expr,
        pass_check: &PassCheck,
    ) {
        let handed_over = self.is(State::Handed) & &jobs.taken;
        let m = &mut *self.m;
        let Descriptor { index, begin, checked, bad, code, .. } = descriptor;
        m.set_if(index, &handed_over, &index.inc());
        m.set_if(&jobs.taken, begin, &lit(0, 1));
        m.set_if(&jobs.taken, &ports.layer_taken, &lit(1, 1));
        let announced = m.reg_reset("layer_valid", 1, 0);
        m.set_if(&announced, &ports.layer_taken, &lit(0, 1));
        m.set_if(&announced, &(checked & !bad), &lit(1, 1));
        for bank in [0, 1] {
            let name = format!("bias_bank_{bank}");
            let register = m.reg(&name, 1);
            m.set_if(&register, &(&jobs.loaded & jobs.bank.eq_lit(bank)), bias_bank);
            m.output_doc(&name, &register, "bank of the bias rows of the job in that bank");
        }
        m.output_doc("job_loaded", &jobs.loaded, "a job's buffers are complete");
        m.output_doc("layer_valid", &announced, "the descriptor is checked and waits to be taken");
        m.output_doc("index", index, "index of the descriptor");
        let of_pass = &pass_check.done & &pass_check.bad;
        let code =
            mux(&of_pass, &pass_check.code, &mux(&rows.tile_bad, &codes::error(ErrorCode::BadShape), code));
        m.output_doc("error_code", &code, "why the descriptor is refused");
    }
}
