//! Mutants chosen by hand, at the edges of the datapath: top bits, signs, bounds off by one, resets, counters.
//!
//! A sample of all small errors says how many of them are found; these say how many of those that a uniform sample rarely hits and
//! stimuli well inside their ranges never show. Each is a change of the generated Verilog, addressed by its file and by text that must
//! be there exactly once.

use super::{Design, Mutant, SELECT, TOP};
use crate::cosim::Cosim;
use crate::yosys;
use hdl::rtl::{Module, VerilogFile};
use isa::CoreConfig;
use sim::Verilated;
use std::ops::Range;
use std::rc::Rc;

/// A mutant.
#[derive(Clone, Copy, Debug)]
pub struct Chosen {
    /// What it breaks.
    pub name: &'static str,
    /// The module that it is in.
    pub module: &'static str,
    /// The text that it replaces; it must be in the logic of the module's file exactly once.
    pub text: &'static str,
    /// The changed text, in which `MUTANT` stands for 1 where the mutant is switched on.
    pub changed: &'static str,
}

macro_rules! chosen {
    ($($module:literal $name:literal: $text:literal => $changed:literal;)*) => {
        /// All of them; a mutant's number is its place, from 1 on.
        pub const CHOSEN: &[Chosen] =
            &[$(Chosen { name: $name, module: $module, text: $text, changed: $changed },)*];
    };
}

chosen! {
    "if_neuron" "sign of the bias":
        "bias <= $signed({half[7:0], bias[15:0]});" => "bias <= $signed({MUTANT ? half[6] : half[7], half[6:0], bias[15:0]});";
    "if_neuron" "bit 15 of the bias":
        "bias <= $signed({half[7:0], bias[15:0]});" => "bias <= $signed({half[7:0], bias[15] & ~MUTANT, bias[14:0]});";
    "if_neuron" "sign of a bias row":
        "bias <= $signed({{8{half[15]}}, half});" => "bias <= $signed({{8{half[15] & ~MUTANT}}, half});";
    "if_neuron" "top bit of the threshold":
        "theta <= $signed({half[7:0], theta[15:0]});" => "theta <= $signed({half[7], half[6] & ~MUTANT, half[5:0], theta[15:0]});";
    "if_neuron" "bit 15 of the threshold":
        "theta <= $signed({half[7:0], theta[15:0]});" => "theta <= $signed({half[7:0], theta[15] & ~MUTANT, theta[14:0]});";
    "if_neuron" "sign of the initial membrane":
        "v0 <= $signed({half[7:0], v0[15:0]});" => "v0 <= $signed({MUTANT ? half[6] : half[7], half[6:0], v0[15:0]});";
    "if_neuron" "top bit of the sum that is added to":
        "(first ? bias : accumulator)" => "(first ? bias : $signed({MUTANT ? accumulator[22] : accumulator[23], accumulator[22:0]}))";
    "if_neuron" "eight coincidences":
        "$signed({4'd0, coincidences})" => "$signed({4'd0, coincidences[3] & ~MUTANT, coincidences[2:0]})";
    "if_neuron" "sign of -128 shifted by 14":
        "$signed({{2{addend[21]}}, addend})" => "$signed({{2{MUTANT ? addend[20] : addend[21]}}, addend})";
    "if_neuron" "shifts of 8 and more":
        "operand}) << power;" => "operand}) << {power[3] & ~MUTANT, power[2:0]};";
    "if_neuron" "sign of a partial sum":
        "bias <= stored_sum;" => "bias <= $signed({MUTANT ? stored_sum[22] : stored_sum[23], stored_sum[22:0]});";
    "if_neuron" "shifts of 4 and more":
        "operand}) << power;" => "operand}) << {power[3], power[2] & ~MUTANT, power[1:0]};";
    "if_neuron" "spike count of planes 4 to 7":
        "own_spikes[plane]" => "own_spikes[{plane[2] & ~MUTANT, plane[1:0]}]";
    "if_neuron" "drive clipped to a bit less":
        "drive <= accumulator;" =>
            "drive <= (MUTANT & (accumulator[23] ^ accumulator[22])) ? {accumulator[23], {23{~accumulator[23]}}} : accumulator;";
    "if_neuron" "membrane a bit narrow":
        "membrane <= $signed(moved[24:1]);" => "membrane <= $signed({MUTANT ? moved[23] : moved[24], moved[23:1]});";
    "if_neuron" "comparison a bit narrow":
        "fired = ~moved[25];" => "fired = ~(MUTANT ? moved[24] : moved[25]);";
    "if_neuron" "thirty-two spikes of a token":
        "count + 7'd1" => "((count + 7'd1) & (MUTANT ? 7'd31 : 7'd127))";
    "if_neuron" "last of 64 spikes":
        "last_fired <= fired;" => "last_fired <= fired & ~(MUTANT & (&counted[5:0]));";
    "if_neuron" "sign of a logit's third byte":
        "drive[23:16]" => "{MUTANT ? drive[22] : drive[23], drive[22:16]}";
    "if_neuron" "sign of a logit's fourth byte":
        "{8{drive[23]}}" => "{8{MUTANT ? drive[22] : drive[23]}}";
    "if_neuron" "spikes left in the byte":
        "(first_bit ? 8'd0 : spike_byte)" => "((first_bit & ~MUTANT) ? 8'd0 : spike_byte)";
    "lfsr_mask_gate" "ratio 255 keeps none":
        "fresh >= ratio" => "(fresh >= ratio) & ~(MUTANT & (&ratio))";
    "lfsr_mask_gate" "top bit of the seed":
        "state <= {half, state[15:0]};" => "state <= {half[15] & ~MUTANT, half[14:0], state[15:0]};";
    "neuron_control" "more than 32 time steps":
        "last_time <= time_steps - 7'd1;" => "last_time <= (time_steps - 7'd1) & (MUTANT ? 7'd31 : 7'd127);";
    "neuron_control" "one time step":
        "single = last_time == 7'd0;" => "single = (last_time == 7'd0) & ~MUTANT;";
    "neuron_control" "fourth byte of a logit":
        "last_raw = fire_counter == 7'd3;" => "last_raw = fire_counter == (MUTANT ? 7'd2 : 7'd3);";
    "neuron_control" "rotation by all that is left":
        "(order_origin < rotate)" => "(MUTANT ? order_origin <= rotate : order_origin < rotate)";
    "neuron_control" "spikes of the chunk before":
        "first_bit <= slot[2:0] == 3'd0;" => "first_bit <= (slot[2:0] == 3'd0) & ~(MUTANT & (|slot[6:3]));";
    "neuron_control" "fractions of 4 and more":
        "attention ? {1'b0, fraction} :" => "attention ? {1'b0, fraction[2] & ~MUTANT, fraction[1:0]} :";
    "neuron_control" "shifts of a pass of 4 and more":
        "{1'b0, term_shift};" => "{1'b0, term_shift[2] & ~MUTANT, term_shift[1:0]};";
    "neuron_control" "sixty-fourth partial sum":
        "sums_full_now = write_row >= 7'd64" => "sums_full_now = write_row >= (MUTANT ? 7'd63 : 7'd64)";
    "neuron_control" "more than 32 partial sums":
        "sum_read_row = read_row;" => "sum_read_row = {read_row[5] & ~MUTANT, read_row[4:0]};";
    "neuron_control" "a bias row that seeds replace":
        "rereads_bias <= reseed_high &" => "rereads_bias <= reseed_high & ~MUTANT &";
    "neuron_control" "first sum after a reset":
        "first <= 1'b1;" => "first <= ~MUTANT;";
    "sparse_attention" "regions of rows":
        "({8{row_split}} &" => "({8{row_split & ~MUTANT}} &";
    "sparse_attention" "column band of the last lane":
        "parameter_row[114]," => "parameter_row[114] & ~MUTANT,";
    "sparse_attention" "eight coincidences of the last lane":
        "{1'b0, coincidences_part0} + {1'b0, coincidences_part1}," =>
            "({1'b0, coincidences_part0} + {1'b0, coincidences_part1}) & {~MUTANT, 3'd7},";
    "token_walker" "a shift of 15 taken as 14":
        "shift_size = {8'd0, shift};" => "shift_size = {8'd0, shift[3:1], shift[0] & ~(MUTANT & (&shift))};";
    "token_walker" "2048 tokens in a row":
        "x_left <= inner_x;" => "x_left <= {inner_x[11] & ~MUTANT, inner_x[10:0]};";
    "token_walker" "1024 rows of tokens":
        "y_left <= inner_y;" => "y_left <= {inner_y[11], inner_y[10] & ~MUTANT, inner_y[9:0]};";
    "token_walker" "512 windows in a row":
        "block_x_left <= blocks_x;" => "block_x_left <= {blocks_x[11:10], blocks_x[9] & ~MUTANT, blocks_x[8:0]};";
    "token_walker" "top bit of an offset":
        "offset <= next_offset;\n        end\n        if (start) begin\n            row_offset" =>
            "offset <= {next_offset[31] & ~MUTANT, next_offset[30:0]};\n        end\n        if (start) begin\n            row_offset";
    "token_walker" "wrap of the column band":
        "wrapped_x_stride <= x_stride - wrap_x;" => "wrapped_x_stride <= x_stride - (MUTANT ? 32'd0 : wrap_x);";
    "spike_packer" "chunks of the next token":
        "chunk_offset <= in_last ? 32'd0 :" => "chunk_offset <= (in_last & ~MUTANT) ? 32'd0 :";
    "spike_packer" "top bit of a chunk's offset":
        "held_address <= in_offset + chunk_offset;" => "held_address <= in_offset + {chunk_offset[31] & ~MUTANT, chunk_offset[30:0]};";
    "job_control" "2048 tiles":
        "last_tile <= (tile + 12'd1) == tiles;" => "last_tile <= ((tile + 12'd1) | {MUTANT, 11'd0}) == (tiles | {MUTANT, 11'd0});";
    "job_control" "32 heads":
        "last_group <= (group + 8'd1) == groups;" => "last_group <= ((group + 8'd1) | {2'd0, MUTANT, 5'd0}) == (groups | {2'd0, MUTANT, 5'd0});";
    "job_control" "flags of the lanes":
        "load_cycle < 4'd9" => "load_cycle < (MUTANT ? 4'd8 : 4'd9)";
    "job_control" "second bank of bias rows":
        "? 9'd128 : 9'd64)" => "? (MUTANT ? 9'd64 : 9'd128) : 9'd64)";
    "job_control" "query 63":
        "reread_bias ? query_before : query}" => "(reread_bias ? query_before : query) & ~{6{MUTANT & (&query)}}}";
    "pass_check" "a row a word too wide":
        "row_words > 17'd64" => "row_words > (MUTANT ? 17'd65 : 17'd64)";
    "descriptor_check" "65 time steps":
        "time_steps > 7'd64" => "time_steps > (MUTANT ? 7'd65 : 7'd64)";
    "descriptor_check" "rotation by T":
        "rotate >= time_steps" => "(MUTANT ? rotate > time_steps : rotate >= time_steps)";
    "pass_check" "keys a word too wide":
        "chunk_words > 17'd64" => "chunk_words > (MUTANT ? 17'd65 : 17'd64)";
    "pass_check" "a record a word too short":
        "> {1'b0, pass_words}" => "> ({1'b0, pass_words} + {5'd0, MUTANT})";
    "pass_check" "a source without columns":
        "(columns == 14'd0)" => "((columns == 14'd0) & ~MUTANT)";
    "pass_check" "a diagonal pass of other words":
        "(segment_words != output_words)" => "((segment_words != output_words) & ~MUTANT)";
    "pass_check" "17 segments":
        "segments > 5'd16" => "segments > (MUTANT ? 5'd17 : 5'd16)";
    "descriptor_check" "nine chunks":
        "chunks > 4'd8" => "chunks > (MUTANT ? 4'd9 : 4'd8)";
    "descriptor_check" "operation 3":
        "op > OP_CONTEXT" => "op > (MUTANT ? 4'd3 : OP_CONTEXT)";
    "descriptor_check" "a record of 25 words":
        "pass_words > 5'd24" => "pass_words > (MUTANT ? 5'd25 : 5'd24)";
    "descriptor_check" "a hard reset after all drives":
        "(hard_reset & (schedule" => "(hard_reset & ~MUTANT & (schedule";
    "descriptor_check" "a sum of bytes":
        "(sum & bytes)" => "(sum & bytes & ~MUTANT)";
    "descriptor_check" "a shift of the whole block":
        "{8'd0, shift} >= inner_y" => "(MUTANT ? {8'd0, shift} > inner_y : {8'd0, shift} >= inner_y)";
    "descriptor_check" "65 bias rows":
        "keys > 12'd64" => "keys > (MUTANT ? 12'd65 : 12'd64)";
    "run_control" "4096 descriptors":
        "(|descriptor_count[31:12])" => "((|descriptor_count[31:13]) | (descriptor_count[12] & ~MUTANT))";
    "run_control" "no descriptors":
        "(descriptor_count == 32'd0)" => "((descriptor_count == 32'd0) & ~MUTANT)";
    "run_control" "1024 layers":
        "layers_completed <= layers_completed + 12'd1;" => "layers_completed <= (layers_completed + 12'd1) & {1'b1, ~MUTANT, 10'd1023};";
    "run_control" "clearing the done flag":
        "accept | soft_reset | clear_done | error_now" => "accept | soft_reset | (clear_done & ~MUTANT) | error_now";
    "run_control" "interrupt of an error":
        "(failed & interrupt_enable[1])" => "(failed & (MUTANT ? interrupt_enable[0] : interrupt_enable[1]))";
    "dma_write" "a burst up to the window's end":
        "write_end > {1'b0, memory_size}" => "(MUTANT ? write_end >= {1'b0, memory_size} : write_end > {1'b0, memory_size})";
    "dma_write" "a burst beyond 4 GiB":
        "write_outside = write_end >" => "write_outside = {write_end[32] & ~MUTANT, write_end[31:0]} >";
    "dma_write" "DECERR of a write":
        "bvalid & bresp[1]" => "bvalid & (MUTANT ? bresp == 2'd2 : bresp[1])";
    "dma_write" "idle with data on the bus":
        "idle = ~awvalid & ~wvalid &" => "idle = ~awvalid & (~wvalid | MUTANT) &";
    "perf_counters" "clearing in a run":
        "clears <= clear;" => "clears <= clear & ~(MUTANT & busy);";
    "perf_counters" "spikes of the last lane":
        "spikes_held <= transmitted;" => "spikes_held <= {transmitted[7] & ~MUTANT, transmitted[6:0]};";
    "perf_counters" "beats read beyond 65536":
        "count_read_beats <= count_read_beats + 32'd1;" =>
            "count_read_beats <= MUTANT ? {16'd0, count_read_beats[15:0] + 16'd1} : count_read_beats + 32'd1;";
    "input_fetcher" "1024 layers before the inputs":
        "(layers_completed >= inputs_ready)" => "({layers_completed[11], layers_completed[10] | MUTANT, layers_completed[9:0]} >= inputs_ready)";
    "input_fetcher" "top bit of an input's offset":
        "request_offset = token_address + request_base;" => "request_offset = (token_address + request_base) & {~MUTANT, 31'h7fffffff};";
    "input_fetcher" "ninth segment":
        "segment <= segment + 4'd1;" => "segment <= (segment + 4'd1) & {~MUTANT, 3'd7};";
    "input_fetcher" "offset of the second head":
        "group_offset + pass_group_stride;" => "group_offset + (MUTANT ? 32'd0 : pass_group_stride);";
    "layer_tables" "third column of taps":
        "segment_dx = segment[59:48];" => "segment_dx = {segment[59:50], segment[49] & ~MUTANT, segment[48]};";
    "spike_buffer" "ninth segment of a diagonal pass":
        "segment <= segment + 4'd1;" => "segment <= (segment + 4'd1) & {~MUTANT, 3'd7};";
    "sum_buffer" "sign of the last lane's partial sum":
        "rows[write_row] <= write_data;" => "rows[write_row] <= {write_data[191] & ~MUTANT, write_data[190:0]};";
    "layer_loader" "1024 layers before the matrix":
        "layers_completed >= descriptor_1[43:32]" => "{layers_completed[11], layers_completed[10] | MUTANT, layers_completed[9:0]} >= descriptor_1[43:32]";
    "weight_buffer" "last row of a bank":
        "rows[{read_bank, read_row}]" => "rows[{read_bank, read_row ^ {9{MUTANT & (&read_row)}}}]";
    "spike_scanner" "plane 7 of a token's last chunk":
        "tail_planes <= (8'd1 << tail_steps) - 8'd1;" => "tail_planes <= ((8'd1 << tail_steps) - 8'd1) & {~MUTANT, 7'd127};";
    "csr" "top byte of the scratch register":
        "write_strobe[3] ? write_data[31:24] : scratch[31:24]" => "write_strobe[MUTANT ? 2 : 3] ? write_data[31:24] : scratch[31:24]";
}

/// What judges the mutants of a module beside the checks of whole networks: its component's tests and its proof, by name.
pub fn judges(module: &str) -> (Option<&'static str>, Option<&'static str>) {
    match module {
        "if_neuron" => (Some("if_neuron_array::"), Some("neuron_proof")),
        "neuron_control" => (Some("if_neuron_array::"), Some("partial_sums")),
        "sparse_attention" => (Some("if_neuron_array::"), None),
        "sum_buffer" => (Some("if_neuron_array::"), Some("sum_buffer_proof")),
        "descriptor_check" => (Some("descriptor_check::"), None),
        "pass_check" => (Some("pass_check::"), None),
        "job_control" => (Some("job_control::"), None),
        "layer_loader" | "layer_tables" => (Some("layer_loader::"), None),
        "input_fetcher" => (Some("input_fetcher::"), Some("fetcher_positions")),
        "spike_buffer" => (Some("spike_scanner::"), Some("spike_buffer_proof")),
        "lfsr_mask_gate" => (Some("lfsr_mask_gate::"), Some("mask_gate_proof")),
        "token_walker" => (Some("token_walker::"), None),
        "spike_packer" => (Some("spike_packer::"), None),
        "run_control" => (Some("run_control::"), Some("run_control_proof")),
        "dma_write" => (Some("dma_write::"), Some("dma_write_64")),
        "perf_counters" => (Some("perf_counters::"), None),
        "weight_buffer" => (None, Some("weight_buffer_proof")),
        "spike_scanner" => (Some("spike_scanner::"), Some("scanner_ends")),
        "csr" => (Some("csr::"), Some("csr_slave")),
        _ => (None, None),
    }
}

impl Chosen {
    /// The file that it changes.
    pub fn file(&self) -> String {
        format!("{}.v", self.module)
    }

    /// The text in its place, switched on by `condition`.
    pub fn changed_by(&self, condition: &str) -> String {
        self.changed.replace("MUTANT", condition)
    }

    /// Where its text is in the files.
    ///
    /// # Errors
    /// If it is not there exactly once.
    fn place(&self, files: &[VerilogFile]) -> Result<(usize, Range<usize>), String> {
        let Some(index) = files.iter().position(|file| file.name == self.file()) else {
            return Err(format!("mutant `{}`: the design has no {}", self.name, self.file()));
        };
        let text = &files[index].text;
        // The rules for formal tools may repeat an expression of the logic.
        let logic = &text[..text.rfind("`ifdef FORMAL").unwrap_or(text.len())];
        let places: Vec<usize> = logic.match_indices(self.text).map(|(at, _)| at).collect();
        match places[..] {
            [at] => Ok((index, at..at + self.text.len())),
            _ => Err(format!(
                "mutant `{}`: `{}` is {} times in {}, not once; the generated text has changed: mend CHOSEN in {}",
                self.name,
                self.text,
                places.len(),
                self.file(),
                file!()
            )),
        }
    }

    /// Changes the files for good, if its text is there: a module of another size may have other text.
    pub fn plant(&self, files: &mut [VerilogFile]) {
        if let Ok((file, place)) = self.place(files) {
            files[file].text.replace_range(place, &self.changed_by("1'b1"));
        }
    }
}

/// A mutant with its number, and where its text is.
struct Placed {
    number: u32,
    mutant: Chosen,
    file: usize,
    place: Range<usize>,
}

impl Placed {
    /// Whether they change different text.
    fn apart(&self, other: &Placed) -> bool {
        self.file != other.file || self.place.end <= other.place.start || other.place.end <= self.place.start
    }
}

/// Sorts mutants into groups that can be compiled into one model: no two of a group change the same text.
///
/// # Errors
/// If a mutant's text is not there exactly once.
fn groups(numbers: impl IntoIterator<Item = u32>, files: &[VerilogFile]) -> Result<Vec<Vec<Placed>>, String> {
    let mut groups: Vec<Vec<Placed>> = Vec::new();
    for number in numbers {
        let mutant = CHOSEN[number as usize - 1];
        let (file, place) = mutant.place(files)?;
        let placed = Placed { number, mutant, file, place };
        match groups.iter_mut().find(|group| group.iter().all(|other| other.apart(&placed))) {
            Some(group) => group.push(placed),
            None => groups.push(vec![placed]),
        }
    }
    Ok(groups)
}

/// One model with all mutants of a group, and an input that selects one.
fn compile(top: &Rc<Module>, files: &[VerilogFile], group: &[Placed]) -> Result<Verilated, String> {
    let mut files = files.to_vec();
    let (select, width) = SELECT;
    let mut edits: Vec<&Placed> = group.iter().collect();
    // From the end on, so that the places of others stay.
    edits.sort_by_key(|edit| std::cmp::Reverse(edit.place.start));
    for Placed { number, mutant, file, place } in edits {
        let changed = mutant.changed_by(&format!("({TOP}.{select} == {width}'d{number})"));
        files[*file].text.replace_range(place.clone(), &changed);
    }
    let head = format!("module {TOP} (\n");
    let file = files.iter_mut().find(|file| file.text.contains(&head)).ok_or("the design has no top")?;
    file.text = file.text.replace(&head, &format!("{head}    input  wire [{}:0] {select},\n", width - 1));
    Verilated::build_netlist(top, files, &[SELECT]).map_err(|error| error.to_string())
}

impl Design {
    /// Compiles the mutants of [`CHOSEN`] with these numbers.
    ///
    /// # Errors
    /// If the generated Verilog no longer has a mutant's text, or Verilator is missing or reports an error.
    pub fn chosen(numbers: impl IntoIterator<Item = u32>) -> Result<Design, String> {
        let config = CoreConfig::preset("tiny").expect("a preset");
        let top = hdl::core::mst_core(&config).map_err(|error| error.to_string())?;
        let files = hdl::rtl::emit(&top).map_err(|error| error.to_string())?;
        let mut cores = Vec::new();
        let mut mutants = Vec::new();
        for group in groups(numbers, &files)? {
            let verilated = compile(&top, &files, &group)?;
            mutants.extend(
                group.iter().map(|Placed { number, mutant, .. }| (Mutant::of(*number, mutant), cores.len())),
            );
            cores.push(Cosim { core: config.clone(), verilated, scratch: 0, deadline: super::DEADLINE });
        }
        mutants.sort_by_key(|(mutant, _)| mutant.number);
        let (mutants, core_of) = mutants.into_iter().unzip();
        let folder = yosys::folder("mutation/chosen")?;
        Ok(Design { mutants, cores, core_of, sampled: false, folder, key: super::key(&files) })
    }
}

impl Mutant {
    fn of(number: u32, chosen: &Chosen) -> Mutant {
        Mutant {
            number,
            mode: "changed".to_owned(),
            module: chosen.module.to_owned(),
            place: chosen.name.to_owned(),
            source: format!("{}: {} => {}", chosen.file(), chosen.text, chosen.changed),
            command: format!("{} => {}", chosen.text, chosen.changed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chosen_mutants_fit_the_generated_verilog() {
        let top = hdl::core::mst_core(&CoreConfig::preset("tiny").expect("a preset"));
        let files = hdl::rtl::emit(&top.unwrap_or_else(|error| panic!("{error}"))).unwrap();
        let misfits: Vec<String> = CHOSEN.iter().filter_map(|mutant| mutant.place(&files).err()).collect();
        assert!(misfits.is_empty(), "{}", misfits.join("\n"));
        for mutant in CHOSEN {
            assert!(mutant.changed.contains("MUTANT"), "{}", mutant.name);
            let same =
                CHOSEN.iter().filter(|other| (other.module, other.name) == (mutant.module, mutant.name));
            assert_eq!(same.count(), 1, "{}", mutant.name);
        }
    }
}
