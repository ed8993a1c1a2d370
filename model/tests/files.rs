//! Files: round trips, and clear errors for whatever is wrong with them.

mod synthetic;

use model::{Checkpoint, ConvertOptions, Executor, Network, RunOptions, convert};
use proptest::prelude::*;
use std::sync::LazyLock;

static CHECKPOINT: LazyLock<Vec<u8>> = LazyLock::new(|| synthetic::checkpoint(3));
static NETWORK: LazyLock<Network> = LazyLock::new(|| {
    convert(&Checkpoint::from_bytes(&CHECKPOINT).unwrap(), &ConvertOptions::new("synthetic")).unwrap()
});
static NETWORK_FILE: LazyLock<Vec<u8>> = LazyLock::new(|| NETWORK.to_bytes().unwrap());

fn refusal(header: Option<&str>, change: impl FnOnce(&mut synthetic::Tensors)) -> String {
    let mut tensors = synthetic::tensors(3);
    change(&mut tensors);
    Checkpoint::from_bytes(&synthetic::file(header, &tensors)).unwrap_err().to_string()
}

fn tensor<'t>(tensors: &'t mut synthetic::Tensors, name: &str) -> &'t mut (String, Vec<usize>, Vec<f32>) {
    tensors.iter_mut().find(|(found, ..)| found == name).unwrap()
}

#[test]
fn networks_come_back_from_files_and_bytes_are_stable() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("net.mst");
    NETWORK.save(&path).unwrap();
    assert_eq!(Network::load(&path).unwrap(), *NETWORK);
    assert_eq!(std::fs::read(&path).unwrap(), *NETWORK_FILE);
    NETWORK.save(&path).unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no partial file stays behind");
}

#[test]
fn errors_name_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("absent.mst");
    assert!(Network::load(&path).unwrap_err().to_string().contains("absent.mst"));
    std::fs::write(&path, b"not a network").unwrap();
    let error = Network::load(&path).unwrap_err().to_string();
    assert!(error.contains("absent.mst") && error.contains("not a safetensors file"), "{error}");
    assert!(NETWORK.save(&folder.path().join("no/such/folder.mst")).is_err());
}

#[test]
fn foreign_files_are_told_apart() {
    let error = Network::from_bytes(&CHECKPOINT).unwrap_err().to_string();
    assert!(error.contains("not a network file") && error.contains("`mst-network`"), "{error}");
    let error = Checkpoint::from_bytes(&NETWORK_FILE).unwrap_err().to_string();
    assert!(error.contains("not a checkpoint") && error.contains("`mst`"), "{error}");
    let error = refusal(None, |_| ());
    assert!(error.contains("`mst`"), "{error}");
}

#[test]
fn headers_are_checked() {
    let header = |from: &str, to: &str| refusal(Some(&synthetic::HEADER.replace(from, to)), |_| ());
    let cases = [
        ("\"version\": 1", "\"version\": 2", "version 2, expected 1"),
        ("\"version\": 1,", "", "no version"),
        ("mst-checkpoint", "vit", "unknown architecture: format `vit`"),
        ("\"window\": 2", "\"window\": 3", "window is 3"),
        ("\"heads\": [2, 1]", "\"heads\": [4, 1]", "heads is 4"),
        ("\"heads\": [2, 1]", "\"heads\": [2]", "one entry a stage"),
        ("\"dims\": [6, 8]", "\"dims\": [6]", "one entry a stage"),
        ("\"patch\": 2", "\"patch\": 0", "patch is 0"),
        ("\"levels\": 8", "\"levels\": -8", "levels is -8, allowed: a whole number, 1 to 256"),
        (
            "\"classes\": 3,",
            "",
            "mst: classes is missing, allowed: the number of classes, such as 10 (docs/checkpoint.md",
        ),
        ("1e-5", "null", "bn_eps is null, allowed: a number"),
    ];
    for (from, to, expected) in cases {
        let error = header(from, to);
        assert!(error.contains(expected), "{to}: {error}");
    }
    assert!(header("{", "").contains("metadata entry `mst`"));
}

type Change = fn(&mut synthetic::Tensors);

#[test]
fn tensors_are_checked() {
    let cases: [(&str, &str, Change); 7] = [
        ("tensor `head.bias` is missing", "head.bias", |t| t.retain(|(name, ..)| name != "head.bias")),
        ("`head.bias` is [2], expected [3]", "shape", |t| {
            let head = tensor(t, "head.bias");
            (head.1, head.2) = (vec![2], vec![0.0; 2]);
        }),
        ("`head.weight`, element 5: NaN is not finite", "NaN", |t| tensor(t, "head.weight").2[5] = f32::NAN),
        ("`patch_embed.bn.bias`, element 0: inf is not finite", "inf", |t| {
            tensor(t, "patch_embed.bn.bias").2[0] = f32::INFINITY;
        }),
        ("`head.norm.running_var`, element 1: -1 is not 0 or more", "variance", |t| {
            tensor(t, "head.norm.running_var").2[1] = -1.0;
        }),
        ("`head.norm.threshold`, element 0: 0 is not positive", "threshold", |t| {
            tensor(t, "head.norm.threshold").2[0] = 0.0;
        }),
        ("`neck.weight` is not part of the architecture: leave it out", "unexpected", |t| {
            t.push(("neck.weight".to_owned(), vec![1, 1], vec![0.0]));
        }),
    ];
    for (expected, what, change) in cases {
        let error = refusal(Some(synthetic::HEADER), change);
        assert!(error.contains(expected), "{what}: {error}");
    }
}

/// What cannot spike is named with its module and with what to do.
#[test]
fn what_has_no_spiking_counterpart_is_named() {
    let added = |name: &str, shape: &[usize]| {
        let values = vec![0.5; shape.iter().product()];
        refusal(Some(synthetic::HEADER), |t| t.push((name.to_owned(), shape.to_vec(), values)))
    };
    let swin = "layers.0.blocks.0.attn.relative_position_bias_table";
    let cases = [
        ("stages.0.layernorm.weight", &[6][..], "module `stages.0.layernorm`: ", "by batch norm"),
        ("stages.0.blocks.0.mlp.gelu.scale", &[1], "module `stages.0.blocks.0.mlp.gelu`: ", "by QCFS"),
        ("stages.0.blocks.0.attn.qkv.weight", &[18, 6], "module `stages.0.blocks.0.attn.qkv`: ", "split it"),
        (swin, &[9, 2], "module `layers.0.blocks.0.attn`: ", "export it as `attn.bias_table`"),
        ("neck.norm.weight", &[6], "module `neck.norm`: ", "layer norm or RMS norm"),
    ];
    for (name, shape, module, remedy) in cases {
        let error = added(name, shape);
        assert!(error.contains(module) && error.contains(remedy), "{name}: {error}");
    }
    let error = refusal(Some(synthetic::HEADER), |t| {
        t.retain(|(name, ..)| !name.starts_with("stages.1.blocks.0.norm2.running"));
    });
    assert!(error.contains("module `stages.1.blocks.0.norm2`") && error.contains("layer norm"), "{error}");
    let said = |entry: &str| {
        let header = synthetic::HEADER.replace("\"patch\"", &format!("{entry}, \"patch\""));
        Checkpoint::from_bytes(&synthetic::file(Some(&header), &synthetic::tensors(3))).map(|_| ())
    };
    said(r#""activation": "QCFS", "attention": "qcfs", "norm": {"head.norm": "BatchNorm"}"#).unwrap();
    let cases = [
        (r#""activation": "gelu""#, "every module", "activation \"gelu\", allowed: \"qcfs\""),
        (r#""attention": "softmax""#, "every module", "replace softmax by QCFS"),
        (r#""norm": {"stages.0.blocks.0.norm1": "layernorm"}"#, "`stages.0.blocks.0.norm1`", "by batch norm"),
        (r#""activation": 3"#, "activation is 3", "allowed: \"qcfs\", or a map"),
    ];
    for (entry, module, expected) in cases {
        let error = said(entry).unwrap_err().to_string();
        assert!(error.contains(module) && error.contains(expected), "{entry}: {error}");
    }
}

#[test]
fn masks_of_a_checkpoint_are_checked() {
    let refused = |masks: &str| {
        let header = synthetic::HEADER.replace("\"patch\"", &format!("\"masks\": {masks}, \"patch\""));
        refusal(Some(&header), |_| ())
    };
    let cases = [
        ("[0.5]", "masks is [0.5], allowed: a map from layer names to masks"),
        (r#"{"stages.0.blocks.0.attn.q": {"label": "q"}}"#, "allowed: a share of dropped spikes"),
        (
            r#"{"stages.0.blocks.2.attn.q": 0.5}"#,
            "a layer of masks is \"stages.0.blocks.2.attn.q\", allowed: `stages.",
        ),
        (r#"{"stages.0.blocks.0.attn.v": 0.5}"#, "`attn.scores`, `mlp.fc1`, for a block of the network"),
        (
            r#"{"stages.0.blocks.0.attn.q": 1.0}"#,
            "masks of `stages.0.blocks.0.attn.q` is 1.0, allowed: a share",
        ),
        (r#"{"stages.0.blocks.0.attn.q": -0.1}"#, "is -0.1, allowed"),
        (r#"{"stages.0.blocks.0.attn.q": "half"}"#, "is \"half\", allowed"),
    ];
    for (masks, expected) in cases {
        let error = refused(masks);
        assert!(error.contains(expected), "{masks}: {error}");
    }
}

#[test]
fn tiny_weights_still_convert() {
    let mut tensors = synthetic::tensors(3);
    tensor(&mut tensors, "patch_embed.weight").2.fill(0.0);
    tensor(&mut tensors, "stages.0.blocks.0.attn.q.weight").2.iter_mut().for_each(|w| *w *= 1e-20);
    tensor(&mut tensors, "stages.0.blocks.0.norm2.weight").2.fill(0.0);
    tensor(&mut tensors, "head.weight").2.fill(0.0);
    let checkpoint = Checkpoint::from_bytes(&synthetic::file(Some(synthetic::HEADER), &tensors)).unwrap();
    let network = convert(&checkpoint, &ConvertOptions::new("tiny")).unwrap();
    assert!(network.layers[0].theta.iter().all(|theta| (1..=1 << 20).contains(theta)));
    network.configure(&RunOptions::new(16)).unwrap();
}

/// Loads what may be a network and, if it is one, runs it.
fn survive(bytes: &[u8]) {
    let Ok(network) = Network::from_bytes(bytes) else { return };
    let Ok(configured) = network.configure(&RunOptions::new(4)) else { return };
    let image = vec![200; network.image.bytes()];
    let _ = Executor::new(&configured).trace(&image);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn truncated_files_are_refused(part in 0.0..1.0f64) {
        let cut = |bytes: &[u8]| bytes[..(bytes.len() as f64 * part) as usize].to_vec();
        prop_assert!(Checkpoint::from_bytes(&cut(&CHECKPOINT)).is_err());
        prop_assert!(Network::from_bytes(&cut(&NETWORK_FILE)).is_err());
    }

    #[test]
    fn flipped_bits_never_panic(flips in proptest::collection::vec((any::<prop::sample::Index>(), 0..8u32), 1..6), header in any::<bool>()) {
        let flipped = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            let end = if header { 8 + u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize } else { bytes.len() };
            for (at, bit) in &flips {
                bytes[at.index(end)] ^= 1 << bit;
            }
            bytes
        };
        if let Ok(checkpoint) = Checkpoint::from_bytes(&flipped(&CHECKPOINT)) {
            let _ = convert(&checkpoint, &ConvertOptions::new("flipped"));
            let _ = checkpoint.logits(&vec![9; checkpoint.architecture.image.bytes()]);
        }
        survive(&flipped(&NETWORK_FILE));
    }

    #[test]
    fn changed_digits_never_panic(at in any::<prop::sample::Index>(), digit in b'0'..=b'9') {
        let changed = |bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            let digits: Vec<usize> = (8..bytes.len()).take_while(|&i| bytes[i].is_ascii()).filter(|&i| bytes[i].is_ascii_digit()).collect();
            bytes[digits[at.index(digits.len())]] = digit;
            bytes
        };
        let _ = Checkpoint::from_bytes(&changed(&CHECKPOINT)).map(|c| convert(&c, &ConvertOptions::new("changed")));
        survive(&changed(&NETWORK_FILE));
    }
}
