//! Small errors planted in the generated Verilog, each of which a named check must find: what the checks are worth.
//!
//! All of them are compiled into one model. `BUG` in a changed line stands for "register `SCRATCH` holds this bug's number", so each is
//! switched on at run time, and with 0 the model is the core as it is.

use hdl::rtl::VerilogFile;
use isa::CoreConfig;
use sim::{Tracing, Verilated};
use std::time::Instant;
use tests::cosim::campaign::{Worlds, random_networks};
use tests::cosim::malformed::{MALFORMED, malformed_descriptors, random_descriptors};
use tests::cosim::order::reads_wait_for_writes;
use tests::cosim::{Cosim, DEADLINE};
use tests::cosim::{checks, recovery, walks};

/// A check, by its name in the list of bugs.
type Check = (&'static str, fn(&Cosim) -> Result<(), String>);

const CHECKS: &[Check] = &[
    ("networks", |core| random_networks(core, 0..240, Worlds::Quiet).map(drop)),
    ("stalls", |core| random_networks(core, 0..60, Worlds::Rough).map(drop)),
    ("order", |core| reads_wait_for_writes(core, 0..400)),
    ("events", |core| checks::events_follow_spikes(core, 0..20)),
    ("masks", checks::masked_spikes_cost_nothing),
    ("merging", |core| checks::merged_events_change_nothing(core, 0..20)),
    ("counters", tests::cosim::counters::counters_count_one_run),
    ("windows", walks::windows_of_every_size_and_shift),
    ("interrupts", checks::interrupts_follow_their_enables),
    ("refusals", |core| malformed_descriptors(core, MALFORMED)),
    ("bad runs", recovery::bad_runs),
    ("long counts", tests::cosim::counters::counters_go_on),
    ("busy starts", |core| recovery::starts_while_busy(core, 0..6)),
    ("bus errors", |core| recovery::bus_errors(core, 211)),
    ("soft resets", |core| recovery::soft_resets(core, 0..300)),
    ("hard resets", |core| recovery::hard_resets(core, 0..10)),
    ("random descriptors", |core| random_descriptors(core, 0..40).map(drop)),
];

/// One planted error.
struct Bug {
    /// What it breaks.
    name: &'static str,
    /// The file that it is planted in.
    file: &'static str,
    /// The text that it replaces; it must be in the logic exactly once.
    text: &'static str,
    /// The changed text.
    changed: &'static str,
    /// The check that must find it.
    check: &'static str,
}

macro_rules! bugs {
    ($($check:literal $file:literal $name:literal: $text:literal => $changed:literal;)*) => {
        const BUGS: &[Bug] = &[$(Bug {
            name: $name, file: concat!($file, ".v"), text: $text, changed: $changed, check: $check,
        },)*];
    };
}

bugs! {
    "networks" "if_neuron" "fires only above the threshold":
        "fired = ~moved[25];" => "fired = ~moved[25] & ~(BUG & (moved[24:1] == 24'd0));";
    "networks" "if_neuron" "reset to zero instead of by subtraction":
        "membrane <= $signed(moved[24:1]);" => "membrane <= (BUG & step) ? 24'sd0 : $signed(moved[24:1]);";
    "networks" "if_neuron" "membranes start from zero":
        "membrane <= v0;" => "membrane <= BUG ? 24'sd0 : v0;";
    "networks" "if_neuron" "weights are not sign-extended":
        "addend = $signed({{14{operand[7]}}, operand}) << power" => "addend = $signed({{14{operand[7] & ~BUG}}, operand}) << power";
    "networks" "if_neuron" "a hard reset subtracts the threshold":
        "step & fired & hard_reset" => "step & fired & hard_reset & ~BUG";
    "networks" "if_neuron" "a pass after the first starts from the bias":
        "end else if (load_sum) begin" => "end else if (load_sum & ~BUG) begin";
    "networks" "if_neuron" "a slot compares its rank with >=":
        "{1'b0, spike_count, last_fired} + {1'b0, ~rank, last_fired}" =>
            "{1'b0, spike_count, last_fired | BUG} + {1'b0, ~rank, last_fired | BUG}";
    "networks" "if_neuron" "the last step of a token does not count":
        "last_fired <= fired;" => "last_fired <= fired & ~BUG;";
    "networks" "if_neuron" "a token's last step counts for the token after it, too":
        "counts <= step & ~starts_over;" => "counts <= step & (~starts_over | BUG);";
    "networks" "if_neuron" "a diagonal pass looks at one bit of its spike count":
        "own_spikes[plane]" => "own_spikes[BUG ? 3'd0 : plane]";
    "networks" "if_neuron" "lanes without a channel fire":
        "& valid & connected" => "& (valid | BUG) & connected";
    "networks" "if_neuron" "the upper half of the bias is lost":
        "bias <= $signed({half[7:0], bias[15:0]})" => "bias <= $signed({half[7:0] & {8{~BUG}}, bias[15:0]})";
    "networks" "if_neuron" "the bias takes its sign from the bit below":
        "half[7:0] & " => "{BUG ? half[6] : half[7], half[6:0]} & ";
    "networks" "if_neuron" "the threshold loses its top bit":
        "theta <= $signed({half[7:0]," => "theta <= $signed({half[7], half[6] & ~BUG, half[5:0],";
    "networks" "if_neuron" "the initial membrane takes its sign from the bit below":
        "v0 <= $signed({half[7:0]," => "v0 <= $signed({BUG ? half[6] : half[7], half[6:0],";
    "networks" "if_neuron" "the sum loses its top bit when it is added to":
        "(first ? bias : accumulator)" => "(first ? bias : $signed({BUG ? accumulator[22] : accumulator[23], accumulator[22:0]}))";
    "networks" "if_neuron" "the drive is clipped to a bit less":
        "drive <= accumulator;" =>
            "drive <= (BUG & (accumulator[23] ^ accumulator[22])) ? {accumulator[23], {23{~accumulator[23]}}} : accumulator;";
    "networks" "if_neuron" "the membrane is a bit narrow":
        "$signed(moved[24:1])" => "$signed({BUG ? moved[23] : moved[24], moved[23:1]})";
    "networks" "if_neuron" "the comparison is a bit narrow":
        "~moved[25]" => "~(BUG ? moved[24] : moved[25])";
    "networks" "neuron_control" "a sum starts from the one before":
        "first <= last_2;" => "first <= last_2 & ~BUG;";
    "networks" "neuron_control" "events do not wait for the threshold steps":
        "advance = ~(drive_blocked | reseeding);" => "advance = ~((drive_blocked & ~BUG) | reseeding);";
    "networks" "neuron_control" "the shift of a pass is lost":
        "{1'b0, shift_1} + {1'b0, term_shift};" => "{1'b0, shift_1} + (BUG ? 4'd0 : {1'b0, term_shift});";
    "networks" "neuron_control" "sums start from their neighbour's partial sum":
        "sum_read_row = read_row;" => "sum_read_row = read_row ^ {5'd0, BUG};";
    "networks" "neuron_control" "partial sums fire":
        "if (capture & ~to_sums) begin" => "if (capture & (~to_sums | BUG)) begin";
    "networks" "neuron_control" "a mask shared by tokens goes on":
        "reseed_low <= emit & emit_last & mask_shared;" => "reseed_low <= emit & emit_last & mask_shared & ~BUG;";
    "networks" "neuron_control" "half of the seeds is taken anew":
        "reseed_high ? 4'd7 : 4'd6" => "reseed_high ? (BUG ? 4'd6 : 4'd7) : 4'd6";
    "networks" "neuron_control" "a bias row is lost to the seeds":
        "rereads_bias <= reseed_high & valid_1 & bias_row_1;" => "rereads_bias <= reseed_high & valid_1 & bias_row_1 & ~BUG;";
    "stalls" "neuron_control" "threshold steps do not wait for the packer":
        "fire_advance = bytes_taken & ~reseeds;" => "fire_advance = (bytes_taken | BUG) & ~reseeds;";
    "networks" "neuron_control" "rotation does not wrap around":
        "order_back + time_steps" => "order_back + (BUG ? 7'd0 : time_steps)";
    "networks" "neuron_control" "rotation does not restart with a block":
        "& last_of_block) ?" => "& last_of_block & ~BUG) ?";
    "networks" "lfsr_mask_gate" "a tap of the LFSR is off by one":
        "state[29] ^ state[27] ^ state[23] ^ state[22]" => "state[29] ^ state[27] ^ state[23] ^ (BUG ? state[21] : state[22])";
    "networks" "lfsr_mask_gate" "a draw equal to the ratio is masked":
        "fresh >= ratio" => "(fresh >= ratio) & ~(BUG & (fresh == ratio) & (|ratio))";
    "networks" "sparse_attention" "coincidences are unions":
        "both_3 = matrix_row[31:24] & event_steps" => "both_3 = BUG ? matrix_row[31:24] | event_steps : matrix_row[31:24] & event_steps";
    "networks" "sparse_attention" "column bands are compared with row bands":
        "{8{query_column_band}} ^ key_column_band" => "{8{query_column_band}} ^ (BUG ? key_row_band : key_column_band)";
    "networks" "spike_scanner" "the highest byte of a word goes first":
        "vector[0] ? 3'd0 :" => "(BUG & vector[7]) ? 3'd7 : vector[0] ? 3'd0 :";
    "networks" "spike_scanner" "the third word of a row is taken for the fourth":
        "word_index = word_index_now;" => "word_index = word_index_now ^ {5'd0, BUG & walk_word[2]};";
    "networks" "spike_scanner" "attention reads the rows of the first chunk only":
        "row_moves & is_attention" => "row_moves & is_attention & ~BUG";
    "networks" "spike_buffer" "two rows share their words":
        "words[{held_row[2:0], held_word}]" => "words[{held_row[2:0] & (BUG ? 3'd6 : 3'd7), held_word}]";
    "networks" "weight_buffer" "the array reads the bank that is being filled":
        "rows[{read_bank, read_row}]" => "rows[{read_bank ^ BUG, read_row}]";
    "networks" "job_control" "queries take their neighbour's bias row":
        "reread_bias ? query_before : query}" => "(reread_bias ? query_before : query) ^ {5'd0, BUG}}";
    "networks" "job_control" "each pass has a parameter block":
        "end else if (drained & job_last_pass) begin" => "end else if (drained & (job_last_pass | BUG)) begin";
    "networks" "job_control" "a tile's second pass counts as its last":
        "to_sums = ~job_last_pass;" => "to_sums = ~(job_last_pass | (BUG & ~job_first_pass));";
    "networks" "job_control" "tiles are written a word apart too far":
        "walk_base <= walk_base + 32'd8;" => "walk_base <= walk_base + (BUG ? 32'd16 : 32'd8);";
    "networks" "spike_packer" "later chunks are written to the first one's place":
        "held_address <= in_offset + chunk_offset;" => "held_address <= in_offset + (BUG ? 32'd0 : chunk_offset);";
    "networks" "input_fetcher" "the chunk offset is added twice":
        "token_address <= walk_offset + chunk_offset;" => "token_address <= walk_offset + chunk_offset + (BUG ? chunk_offset : 32'd0);";
    "networks" "input_fetcher" "the row above the source is inside":
        "row_inside = (position_y" => "row_inside = (BUG & (&(position_y + {2'd0, segment_dy}))) | (position_y";
    "networks" "input_fetcher" "the row below the source is inside":
        "segment_dy}) < pass_rows;" => "segment_dy}) < (pass_rows + {13'd0, BUG});";
    "networks" "input_fetcher" "the column left of the source is inside":
        "column_inside = (position_x" => "column_inside = (BUG & (&(position_x + {2'd0, segment_dx}))) | (position_x";
    "networks" "input_fetcher" "the column right of the source is inside":
        "segment_dx}) < pass_columns;" => "segment_dx}) < (pass_columns + {13'd0, BUG});";
    "networks" "input_fetcher" "the last row of the source is outside":
        "< (pass_rows +" => "< ((pass_rows - {13'd0, BUG}) +";
    "networks" "input_fetcher" "positions advance by one whatever the stride":
        "position_x + {2'd0, pass_step_x};" => "position_x + (BUG ? 14'd1 : {2'd0, pass_step_x});";
    "networks" "input_fetcher" "positions go down by a row whatever the stride":
        "position_y + {2'd0, pass_step_y};" => "position_y + (BUG ? 14'd1 : {2'd0, pass_step_y});";
    "networks" "input_fetcher" "the first two taps are exchanged":
        "segment_index = segment;" => "segment_index = segment ^ {3'd0, BUG & (pass_segments != 5'd1) & ~(|segment[3:1])};";
    "networks" "input_fetcher" "every tile of a diagonal pass reads the first one's lanes":
        "(pass_diagonal ? tile_offset : 32'd0)" => "((pass_diagonal & ~BUG) ? tile_offset : 32'd0)";
    "networks" "input_fetcher" "segments are those of the record before":
        "bank <= pass_bank;" => "bank <= pass_bank ^ BUG;";
    "networks" "layer_loader" "all passes have the first one's record":
        "pass_offset <= pass_offset +" => "pass_offset <= BUG ? pass_offset : pass_offset +";
    "networks" "layer_loader" "all passes have the first one's weights":
        "matrix_offset <= matrix_offset +" => "matrix_offset <= (BUG & ~last_pass) ? matrix_offset : matrix_offset +";
    "networks" "layer_loader" "weights are stored over those of the pass before":
        "written_matrix_bank <= bank;" => "written_matrix_bank <= bank ^ (BUG & ~first_pass);";
    "networks" "spike_buffer" "an absent segment leaves no place":
        "(passes_over ? words_of_segment[5:0] :" => "(passes_over ? words_of_segment[5:0] & {6{~BUG}} :";
    "networks" "spike_buffer" "a diagonal pass counts present segments only":
        "end else if (segment_end) begin\n                segment <=" =>
            "end else if (segment_end & ~(BUG & is_absent)) begin\n                segment <=";
    "networks" "sum_buffer" "two sums share a row":
        "rows[write_row] <=" => "rows[write_row & {5'd31, ~BUG}] <=";
    "order" "input_fetcher" "inputs are read before they are in memory":
        "layers_completed >= inputs_ready" => "(layers_completed >= inputs_ready) | BUG";
    "order" "layer_loader" "keys are read before they are in memory":
        "layers_completed >= descriptor_1[43:32]" => "(layers_completed >= descriptor_1[43:32]) | BUG";
    "windows" "token_walker" "the row band begins a row late":
        "y_left == before_row_band_next_two_before" => "y_left == (before_row_band_next_two_before - {11'd0, BUG})";
    "networks" "key_transposer" "a key's words are shifted past a row":
        "row_3 <= by_row ? row_4 :" => "row_3 <= by_row ? (BUG ? row_5 : row_4) :";
    "networks" "dma_read_stream" "bursts cross 4 KiB":
        "read_near_border ? read_burst_end" => "(read_near_border & ~BUG) ? read_burst_end";
    "networks" "dma_write" "the last beat is not marked":
        "wlast <= beats_left == 5'd1;" => "wlast <= beats_left == (BUG ? 5'd2 : 5'd1);";
    "networks" "dma_write" "the last byte of a word is not written":
        "flush ? 8'd0 : 8'd255" => "flush ? 8'd0 : BUG ? 8'd127 : 8'd255";
    "networks" "dma_write" "a burst is a beat longer than its data":
        "awlen <= {3'd0, write_beats - 5'd1};" => "awlen <= {3'd0, write_beats - {4'd0, ~BUG}};";
    "stalls" "stream_fifo_64x16" "the queue of words takes one more than it holds":
        "push & (stored == 5'd15)" => "push & (stored == (BUG ? 5'd16 : 5'd15))";
    "stalls" "csr" "read data does not wait to be taken":
        "end else if (rready) begin" => "end else if (rready | BUG) begin";
    "events" "engine" "null events count as events":
        "count_event = event_taken & ~scanner_event_null;" => "count_event = event_taken & (~scanner_event_null | BUG);";
    "long counts" "perf_counters" "events are counted in 16 bits":
        "count_events <= count_events + 32'd1;" => "count_events <= BUG ? {16'd0, count_events[15:0] + 16'd1} : count_events + 32'd1;";
    "masks" "lfsr_mask_gate" "masks do nothing":
        "transmitted = spiked & kept" => "transmitted = spiked & (BUG | kept)";
    "merging" "spike_scanner" "step by step, an event has the weight of its bit plane":
        "step_events ? 3'd0 : bits_plane" => "(step_events & ~BUG) ? 3'd0 : bits_plane";
    "counters" "perf_counters" "one counter is not cleared":
        "if (clears) begin\n                count_read_beats <= 32'd0;" => "if (clears & ~BUG) begin\n                count_read_beats <= 32'd0;";
    "counters" "perf_counters" "the counters are not cleared in a run":
        "clears <= clear;" => "clears <= clear & ~(BUG & busy);";
    "counters" "perf_counters" "the counters are not cleared before a run":
        "clears <= clear &" => "clears <= clear & ~(BUG & ~busy) &";
    "windows" "token_walker" "a shift of 15 is taken as 14":
        "shift_size = {8'd0, shift};" => "shift_size = {8'd0, shift[3:1], shift[0] & ~(BUG & (&shift))};";
    "interrupts" "run_control" "the enable of errors enables done":
        "done_flag & interrupt_enable[0]" => "done_flag & (BUG ? interrupt_enable[1] : interrupt_enable[0])";
    "refusals" "descriptor_check" "a shift as large as the block passes":
        "{8'd0, shift} >= inner_x" => "({8'd0, shift} > inner_x) | (~BUG & ({8'd0, shift} == inner_x))";
    "refusals" "run_control" "errors name the layer that completed last":
        "weights_fault ? loader_index :" => "weights_fault ? (BUG ? layers_completed : loader_index) :";
    "refusals" "dma_read_stream" "reads may leave the memory window":
        "read_outside = read_end > {1'b0, memory_size};" => "read_outside = (read_end > {1'b0, memory_size}) & ~BUG;";
    "bad runs" "run_control" "the descriptor base may have any alignment":
        "| (|descriptor_base[5:0])" => "| (|descriptor_base[5:0] & ~BUG)";
    "busy starts" "run_control" "a start in a run starts over":
        "((running | start_pending) | bad_run)" => "(((running | start_pending) & ~BUG) | bad_run)";
    "bus errors" "dma_read" "DECERR passes for success":
        "rvalid & rresp[1]" => "rvalid & (BUG ? rresp == 2'd2 : rresp[1])";
    "soft resets" "run_control" "the bus is not drained":
        "draining & bus_idle" => "draining & (bus_idle | BUG)";
    "soft resets" "dma_write" "the burst on the bus is not finished":
        "words_pop_valid | flush" => "words_pop_valid | (flush & ~BUG)";
    "hard resets" "dma_read" "a hard reset does not lower ARVALID":
        "if (rst) begin\n            arvalid <= 1'b0;" => "if (rst) begin\n            arvalid <= BUG & arvalid;";
}

/// The core of `tiny` with all bugs compiled in and none switched on.
fn planted() -> Cosim {
    let core = CoreConfig::preset("tiny").expect("a preset");
    let top = hdl::core::mst_core(&core).unwrap_or_else(|error| panic!("{error}"));
    let verilated =
        Verilated::build_edited(&top, Tracing::None, plant).unwrap_or_else(|error| panic!("{error}"));
    Cosim { core, verilated, scratch: 0, deadline: DEADLINE }
}

fn plant(files: &mut [VerilogFile]) {
    for (bug, number) in BUGS.iter().zip(1..) {
        let file = files.iter_mut().find(|file| file.name == bug.file);
        let file = file.unwrap_or_else(|| panic!("{}: no file {}", bug.name, bug.file));
        // The rules for formal tools stand at the end, and may repeat an expression of the logic.
        let (logic, rules) = file.text.split_at(file.text.rfind("`ifdef FORMAL").unwrap_or(file.text.len()));
        assert_eq!(logic.matches(bug.text).count(), 1, "{}: `{}` in {}", bug.name, bug.text, bug.file);
        let on = format!("(mst_core.csr_scratch == 32'd{number})");
        file.text = logic.replace(bug.text, &bug.changed.replace("BUG", &on)) + rules;
    }
}

fn check(name: &str) -> fn(&Cosim) -> Result<(), String> {
    CHECKS.iter().find(|(known, _)| *known == name).unwrap_or_else(|| panic!("no check `{name}`")).1
}

#[test]
fn the_list_fits_the_generated_verilog() {
    let top = hdl::core::mst_core(&CoreConfig::preset("tiny").expect("a preset"));
    let mut files = hdl::rtl::emit(&top.unwrap_or_else(|error| panic!("{error}"))).unwrap();
    plant(&mut files);
    for bug in BUGS {
        check(bug.check);
        assert!(bug.changed.contains("BUG"), "{}", bug.name);
    }
}

#[test]
fn slow_every_check_passes_without_a_bug() {
    let core = planted();
    for (name, check) in CHECKS {
        let start = Instant::now();
        check(&core).unwrap_or_else(|error| panic!("{name}: {error}"));
        eprintln!("{name:20} {:5.1} s", start.elapsed().as_secs_f64());
    }
}

#[test]
fn slow_every_planted_bug_is_found_by_its_check() {
    let core = planted();
    let mut missed = Vec::new();
    for (bug, number) in BUGS.iter().zip(1..) {
        let start = Instant::now();
        let found = check(bug.check)(&Cosim { scratch: number, ..core.clone() }).err();
        let seconds = start.elapsed().as_secs_f64();
        let how: String = found.as_deref().unwrap_or("NOT FOUND").chars().take(100).collect();
        eprintln!("{number:2} {:19} {:55} {:18} {seconds:4.1} s  {how:?}", bug.file, bug.name, bug.check);
        if found.is_none() {
            missed.push(bug.name);
        }
    }
    assert!(missed.is_empty(), "not found: {missed:#?}");
}
