//! `token_walker` against the nested loops of `isa::descriptor`.

use hdl::core::token_walker::token_walker;
use tests::random::Random;

use crate::device::Device;

/// The fields that shape a walk, as in a descriptor.
#[derive(Clone, Debug)]
struct Walk {
    blocks_y: u64,
    blocks_x: u64,
    inner_y: u64,
    inner_x: u64,
    shift: u64,
    /// Strides of blocks and tokens, and the wraps: y, x.
    block_strides: [u32; 2],
    strides: [u32; 2],
    wraps: [u32; 2],
    base: u32,
}

impl Walk {
    fn random(random: &mut Random) -> Walk {
        let (most, most_inner) = random.pick(&[(1, 1), (2, 2), (5, 5), (2, 17)]);
        let (inner_y, inner_x) = (random.size(1, most_inner) as u64, random.size(1, most_inner) as u64);
        let most_shift = (inner_y.min(inner_x) as usize - 1).min(15);
        let any_shift = random.size(0, most_shift);
        let shift = random.pick(&[any_shift, most_shift]);
        let pair = |random: &mut Random| [random.bits() as u32, random.bits() as u32];
        Walk {
            blocks_y: random.size(1, most) as u64,
            blocks_x: random.size(1, most) as u64,
            inner_y,
            inner_x,
            shift: shift as u64,
            block_strides: pair(random),
            strides: pair(random),
            wraps: pair(random),
            base: random.bits() as u32,
        }
    }

    /// Every token in order: its offset and flags.
    fn tokens(&self) -> Vec<Token> {
        let mut tokens = Vec::new();
        for block_y in 0..self.blocks_y {
            for block_x in 0..self.blocks_x {
                for y in 0..self.inner_y {
                    for x in 0..self.inner_x {
                        let row_split = self.shift > 0 && block_y + 1 == self.blocks_y;
                        let column_split = self.shift > 0 && block_x + 1 == self.blocks_x;
                        let row_band = y >= self.inner_y - self.shift;
                        let column_band = x >= self.inner_x - self.shift;
                        let offset = u64::from(self.base)
                            + block_y * u64::from(self.block_strides[0])
                            + block_x * u64::from(self.block_strides[1])
                            + y * u64::from(self.strides[0])
                            + x * u64::from(self.strides[1]);
                        let wrap = |band: bool, wrap: u32| if band { wrap } else { 0 };
                        let wrapped = (offset as u32)
                            .wrapping_sub(wrap(row_split && row_band, self.wraps[0]))
                            .wrapping_sub(wrap(column_split && column_band, self.wraps[1]));
                        let last_of_row = x + 1 == self.inner_x;
                        let last_of_block = last_of_row && y + 1 == self.inner_y;
                        tokens.push(Token {
                            offset: wrapped,
                            last_of_row,
                            last_of_block,
                            last_of_blocks: last_of_block && block_x + 1 == self.blocks_x,
                            last_of_all: false,
                            row_split,
                            column_split,
                            row_band: self.shift > 0 && row_band,
                            column_band: self.shift > 0 && column_band,
                        });
                    }
                }
            }
        }
        tokens.last_mut().unwrap().last_of_all = true;
        tokens
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Token {
    offset: u32,
    last_of_row: bool,
    last_of_block: bool,
    last_of_blocks: bool,
    last_of_all: bool,
    row_split: bool,
    column_split: bool,
    /// Looked at where there is a shift.
    row_band: bool,
    column_band: bool,
}

struct Bench {
    device: Device,
    random: Random,
    walk: Walk,
}

impl Bench {
    fn new(seed: u64) -> Bench {
        let mut random = Random(seed);
        let walk = Walk::random(&mut random);
        Bench { device: Device::new(&token_walker().unwrap()), random, walk }
    }

    fn start(&mut self, walk: Walk) {
        let device = &mut self.device;
        for (port, value) in [
            ("blocks_y", walk.blocks_y),
            ("blocks_x", walk.blocks_x),
            ("inner_y", walk.inner_y),
            ("inner_x", walk.inner_x),
            ("shift", walk.shift),
            ("block_y_stride", walk.block_strides[0].into()),
            ("block_x_stride", walk.block_strides[1].into()),
            ("y_stride", walk.strides[0].into()),
            ("x_stride", walk.strides[1].into()),
            ("wrap_y", walk.wraps[0].into()),
            ("wrap_x", walk.wraps[1].into()),
            ("base", walk.base.into()),
        ] {
            device.set(port, value);
        }
        device.set("step", false);
        // The shape stands still from the cycle before on.
        device.cycle();
        device.pulse("start");
        device.set("base", self.random.bits());
        self.walk = walk;
    }

    /// Steps through `count` tokens, some in consecutive cycles, and compares each.
    fn follow(&mut self, count: usize, case: &str) {
        let tokens = self.walk.tokens();
        for (i, expected) in tokens.iter().take(count).enumerate() {
            for _ in 0..self.random.pick(&[0, 0, 0, 1, 4]) {
                self.device.set("step", false);
                self.device.cycle();
                assert_eq!(self.token(), *expected, "{case}: token {i} of {:?}, held", self.walk);
            }
            self.device.pulse("step");
            assert_eq!(self.token(), *expected, "{case}: token {i} of {:?}", self.walk);
        }
    }

    fn token(&self) -> Token {
        let is = |port| self.device.is(port);
        Token {
            offset: self.device.get("offset") as u32,
            last_of_row: is("last_of_row"),
            last_of_block: is("last_of_block"),
            last_of_blocks: is("last_of_blocks"),
            last_of_all: is("last_of_all"),
            row_split: is("row_split"),
            column_split: is("column_split"),
            row_band: self.walk.shift > 0 && is("row_band"),
            column_band: self.walk.shift > 0 && is("column_band"),
        }
    }
}

#[test]
fn tokens_come_in_the_order_of_evaluation() {
    let mut bench = Bench::new(1);
    for case in 0..300 {
        let walk = Walk::random(&mut bench.random);
        let tokens = walk.tokens().len();
        bench.start(walk);
        bench.follow(tokens, &format!("case {case}"));
    }
}

#[test]
fn a_start_in_the_middle_of_a_walk_begins_at_the_first_token() {
    let mut bench = Bench::new(2);
    for case in 0..300 {
        let walk = Walk::random(&mut bench.random);
        let steps = bench.random.size(0, walk.tokens().len());
        bench.start(walk);
        bench.follow(steps, &format!("case {case}"));
        let again = Walk { base: bench.random.bits() as u32, ..bench.walk.clone() };
        bench.start(again);
        let tokens = bench.walk.tokens().len();
        bench.follow(tokens, &format!("case {case}, again"));
    }
}

/// `start` wins over `step`.
#[test]
fn a_start_together_with_a_step_begins_at_the_first_token() {
    let mut bench = Bench::new(3);
    for case in 0..100 {
        let walk = Walk::random(&mut bench.random);
        let steps = bench.random.size(0, walk.tokens().len());
        bench.start(walk.clone());
        bench.follow(steps, &format!("case {case}"));
        bench.device.set("base", walk.base);
        bench.device.set("step", true);
        bench.device.pulse("start");
        bench.device.set("step", false);
        bench.follow(walk.tokens().len(), &format!("case {case}, again"));
    }
}
