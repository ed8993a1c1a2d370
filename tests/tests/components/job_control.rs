//! `job_control`: the order of layers, jobs and parameter rows.

use hdl::core::job_control::job_control;
use isa::layout::PARAMETER_ROWS;
use isa::{CoreConfig, Descriptor, Op, descriptor};
use tests::random::Random;

use crate::device::{Device, small_cores};

/// First of the bias rows in the parameter buffer.
const BIAS_START: u64 = 64;
/// Most cycles in which nothing moves.
const PATIENCE: u32 = 400;

/// A layer, and the pass of each of its passes: diagonal, shift.
struct Layer {
    descriptor: Descriptor,
    passes: Vec<(bool, u64)>,
}

impl Layer {
    fn random(random: &mut Random, core: &CoreConfig) -> Layer {
        let op = random.pick(&Op::ALL);
        let count = if op == Op::Linear { random.size(1, 3) } else { 1 };
        let tiles = random.size(1, 3) as u32;
        let lane_words = core.lanes / 8;
        let descriptor = Descriptor {
            op: op as u32,
            tiles,
            groups: random.size(1, 2) as u32,
            blocks_x: if op == Op::Linear { 1 } else { random.size(1, 3) as u32 },
            output_words: lane_words * (tiles - 1) + random.size(1, lane_words as usize) as u32,
            output_base: random.bits() as u32,
            output_group_stride: random.bits() as u32,
            ..Descriptor::default()
        };
        let passes = (0..count).map(|_| (random.chance(1, 2), random.size(0, 7) as u64)).collect();
        Layer { descriptor, passes }
    }

    /// Its jobs: tile in its group, group, pass, block.
    fn jobs(&self) -> Vec<[u32; 4]> {
        let d = &self.descriptor;
        let tiles = (0..d.groups).flat_map(|group| (0..d.tiles).map(move |tile| (group, tile)));
        let passes = 0..self.passes.len() as u32;
        let of_tile = |(group, tile)| {
            let passes = passes.clone();
            passes.flat_map(move |pass| (0..d.blocks_x).map(move |block| [tile, group, pass, block]))
        };
        tiles.flat_map(of_tile).collect()
    }
}

struct Bench {
    device: Device,
    core: CoreConfig,
    random: Random,
    /// Jobs and parameter blocks so far, which say the banks.
    jobs: u64,
    blocks: u64,
}

impl Bench {
    fn wait(&mut self, port: &str, case: &str) {
        for _ in 0..PATIENCE {
            self.device.cycle();
            if self.device.is(port) {
                return;
            }
        }
        panic!("{case}: no `{port}`");
    }

    fn idle(&mut self, most: usize) {
        (0..self.random.size(0, most)).for_each(|_| self.device.cycle());
    }

    fn layer(&mut self, number: u64, layer: &Layer, case: &str) {
        self.idle(3);
        self.device.set_fields("", descriptor::FIELDS, &layer.descriptor.to_words());
        self.device.set("loader_index", number);
        self.device.set("layer_valid", true);
        self.wait("layer_take", case);
        self.device.set("layer_valid", false);
        self.device.cycle();
        assert!(self.device.is("layer_start"), "{case}: the copy is there in the cycle after");
        assert_eq!(self.device.get("index"), number, "{case}");
        let jobs = layer.jobs();
        for (i, &job) in jobs.iter().enumerate() {
            let tile_ends = jobs.get(i + 1).is_none_or(|next| next[..2] != job[..2]);
            self.job(layer, job, tile_ends, &format!("{case}, job {job:?}"));
        }
        self.device.set("packer_idle", true);
        self.device.set("marker_ready", true);
        self.wait("layer_end", case);
        self.device.set("packer_idle", false);
    }

    /// One job: loaded, parameters into the lanes, scanned, drained, released.
    fn job(&mut self, layer: &Layer, [tile, group, pass, block]: [u32; 4], tile_ends: bool, case: &str) {
        let d = &layer.descriptor;
        let bank = self.jobs & 1;
        let count = layer.passes.len() as u32;
        let (diagonal, shift) = layer.passes[pass as usize];
        for (name, value) in [
            ("diagonal", u64::from(diagonal)),
            ("shift", shift),
            ("first_pass", u64::from(pass == 0)),
            ("last_pass", u64::from(pass + 1 == count)),
        ] {
            self.device.set(&format!("job_{name}_{bank}"), value);
            self.device.set(&format!("job_{name}_{}", 1 - bank), self.random.bits());
        }
        self.idle(4);
        assert!(!self.device.is("job_start"), "{case}: starts before it is loaded");
        self.device.pulse("job_loaded");
        let (mut rows, mut walks) = (Vec::new(), 0);
        for cycle in 0.. {
            self.device.cycle();
            if self.device.is("walk_start") {
                walks += 1;
                let base = d
                    .output_base
                    .wrapping_add(group.wrapping_mul(d.output_group_stride))
                    .wrapping_add(tile * self.core.lanes);
                assert_eq!(self.device.get("walk_base"), u64::from(base), "{case}");
            }
            if self.device.is("parameter_read") {
                assert_eq!(self.device.get("read_row_onehot"), 1 << rows.len(), "{case}");
                rows.push(self.device.get("parameter_row"));
            }
            if self.device.is("job_start") {
                break;
            }
            assert!(cycle < 30, "{case}: does not start");
        }
        let fresh = pass == 0 && block == 0;
        assert_eq!(walks, u32::from(fresh), "{case}: the output walk starts over with a tile");
        let block_rows: Vec<u64> =
            (0..PARAMETER_ROWS.into()).map(|row| 16 * (self.blocks & 1) + row).collect();
        assert_eq!(rows, if pass == 0 { block_rows } else { Vec::new() }, "{case}: parameter rows");
        for (port, expected) in [
            ("bank", bank),
            ("diagonal", diagonal.into()),
            ("term_shift", shift),
            ("from_sums", u64::from(pass > 0)),
            ("to_sums", u64::from(pass + 1 < count)),
            ("tile_words", u64::from((d.output_words - tile * self.core.lanes / 8).min(self.core.lanes / 8))),
        ] {
            assert_eq!(self.device.get(port), expected, "{case}: `{port}`");
        }
        self.bias_and_seed_rows(bank, case);
        // Attention's walk ends with the tile's last block; only then does the tile.
        if d.op != Op::Linear as u32 {
            self.device.set("last_of_all", tile_ends);
            self.device.pulse("token_step");
            self.device.set("last_of_all", false);
        }
        self.idle(3);
        self.device.pulse("job_scanned");
        self.idle(3);
        assert!(!self.device.is("job_release"), "{case}: released while a token is in the array");
        self.device.set("array_idle", true);
        self.wait("job_release", case);
        self.device.set("array_idle", false);
        self.jobs += 1;
        self.blocks += u64::from(pass + 1 == count);
    }

    /// What the lanes read while events come: a query's bias row, the halves of the seeds, and then the bias row again.
    fn bias_and_seed_rows(&mut self, bank: u64, case: &str) {
        let query = self.random.size(0, self.core.bias_rows as usize - 1) as u64;
        let second = self.random.chance(1, 2);
        let device = &mut self.device;
        device.set(&format!("bias_bank_{bank}"), second);
        device.set(&format!("bias_bank_{}", 1 - bank), !second);
        device.set("query", query);
        device.set("advance", true);
        device.pulse("load_bias_row");
        let bias_row = BIAS_START + if second { u64::from(self.core.bias_rows) } else { 0 } + query;
        assert!(device.is("parameter_read"), "{case}");
        assert_eq!(device.get("parameter_row"), bias_row, "{case}: bias row");
        device.set("query", query ^ 1);
        device.set("advance", false);
        for (half, row) in [(1u64, 6), (2, 7)] {
            device.set("reseed", half);
            device.set("reseed_row", row);
            device.cycle();
            assert!(device.is("parameter_read"), "{case}");
            assert_eq!(device.get("parameter_row"), 16 * (self.blocks & 1) + row, "{case}: seeds");
            assert_eq!(device.get("read_row_onehot"), 1 << row, "{case}: seeds");
        }
        device.set("reseed", 0u64);
        device.pulse("reread_bias");
        assert!(device.is("parameter_read"), "{case}");
        assert_eq!(device.get("parameter_row"), bias_row, "{case}: bias row, after the seeds");
        assert_eq!(device.get("read_row_onehot"), 0, "{case}: no parameter");
        device.cycle();
        assert!(!device.is("parameter_read"), "{case}");
    }
}

#[test]
fn jobs_run_in_order_with_the_parameters_of_their_tile() {
    for core in small_cores() {
        let device = Device::new(&job_control(&core).unwrap());
        let mut bench = Bench { device, core: core.clone(), random: Random(50), jobs: 0, blocks: 0 };
        for case in 0..60 {
            let layer = Layer::random(&mut bench.random, &core);
            bench.layer(case, &layer, &format!("layer {case}"));
        }
    }
}
