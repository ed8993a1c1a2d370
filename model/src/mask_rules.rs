//! Which layers are masked, and how much: the rules of a run, over what the network carries.
//!
//! A rule is written `[LAYER:][LABEL=]RATIO`:
//! - `0.75`: every layer that has a [label](crate::network::Mask::label);
//! - `q=0.75`: the layers with the label `q`, in a transformer the queries of every block;
//! - `stages.0.blocks.1:attn=0.5`: the attention matrix of one block;
//! - `stages.0:0.25`: every labelled layer of one stage;
//! - `stages.0.blocks.1.attn.v:0.5`: one layer, which needs no label if a rule names it in full.
//!
//! LAYER is the name of a layer or the start of some, up to a dot. Rules are separated by commas and applied in order, so a later
//! one overrides an earlier one; layers that no rule names keep the ratio that the network carries.

use crate::error::ModelError;
use crate::network::{Layer, Mask, Network};
use serde_json::Value;
use std::fmt::{Display, Formatter};
use std::str::FromStr;

/// Share of spikes that a mask drops, in 1/256: a spike is transmitted when 8 random bits are at least this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MaskRatio(pub u8);

impl MaskRatio {
    /// The share, 0 to 255/256.
    pub fn share(self) -> f64 {
        f64::from(self.0) / 256.0
    }

    /// Share of spikes that are transmitted.
    pub fn kept(self) -> f64 {
        1.0 - self.share()
    }
}

impl TryFrom<f64> for MaskRatio {
    type Error = ModelError;

    /// The nearest multiple of 1/256; 0 to 255/256 are allowed.
    fn try_from(ratio: f64) -> Result<MaskRatio, ModelError> {
        let scaled = (ratio * 256.0).round();
        if (0.0..256.0).contains(&scaled) {
            return Ok(MaskRatio(scaled as u8));
        }
        Err(ModelError::Option {
            option: "--mask",
            found: ratio.to_string(),
            allowed: "0 to 255/256 (0.996)",
        })
    }
}

impl Display for MaskRatio {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        self.share().fmt(f)
    }
}

/// What [`read`] takes.
pub(crate) const READ: &str = "a share of dropped spikes, 0 to 255/256 (0.996), or an object of `label` (a text without `:`, `=` and `,`), `ratio` (that \
                               share), `shared` (true or false) and `draws_of` (the name of a layer)";

/// A mask as files name it: a ratio, or an object of `label`, `ratio`, `shared` and `draws_of`.
pub(crate) fn read(value: &Value) -> Option<Mask> {
    let ratio = |value: &Value| Some(MaskRatio::try_from(value.as_f64()?).ok()?.0);
    let Some(parts) = value.as_object() else {
        return Some(Mask { ratio: ratio(value)?, ..Mask::default() });
    };
    let mut mask = Mask::default();
    for (part, value) in parts {
        match (part.as_str(), value) {
            ("label", Value::String(label)) if is_label(label) => mask.label = Some(label.clone()),
            ("shared", Value::Bool(shared)) => mask.shared = *shared,
            ("ratio", value) => mask.ratio = ratio(value)?,
            ("draws_of", Value::String(layer)) => mask.draws_of = Some(layer.clone()),
            _ => return None,
        }
    }
    Some(mask)
}

/// Whether rules can say it.
fn is_label(label: &str) -> bool {
    isa::names::check(label).is_ok() && !label.contains([':', '=', ','])
}

/// The ratio of some of the layers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MaskRule {
    /// Name of a layer, or the start of some up to a dot; all layers if absent.
    pub layer: Option<String>,
    /// The label; all of them if absent.
    pub label: Option<String>,
    /// Share of spikes that is dropped.
    pub ratio: MaskRatio,
}

impl MaskRule {
    fn covers(&self, layer: &Layer) -> bool {
        if layer.neuron.is_none() {
            return false;
        }
        match (&self.label, &layer.mask.label) {
            (Some(wanted), label) => label.as_ref() == Some(wanted) && self.names(layer),
            (None, Some(_)) => self.names(layer),
            (None, None) => self.layer.as_ref() == Some(&layer.name),
        }
    }

    fn names(&self, layer: &Layer) -> bool {
        let Some(name) = &self.layer else { return true };
        let rest = layer.name.strip_prefix(name.as_str());
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }

    fn refuse(&self, found: String, allowed: String) -> ModelError {
        ModelError::MaskRule { rule: self.to_string(), what: "what it names", found, allowed }
    }

    /// A rule that names something must find it; one for all layers may find none, as a network need not have labels.
    fn check(&self, network: &Network) -> Result<(), ModelError> {
        if network.layers.iter().any(|layer| self.covers(layer))
            || self.layer.is_none() && self.label.is_none()
        {
            return Ok(());
        }
        let layers = network.layers.iter().filter(|layer| self.names(layer));
        let labels = distinct(layers.filter_map(|layer| layer.mask.label.as_deref()));
        match (&self.layer, &self.label) {
            (Some(layer), _) if labels.is_empty() => {
                let any = "the name of a layer with neurons";
                let allowed = match maskable_blocks(network)[..] {
                    [] => format!("{any}, as no layer has a label"),
                    ref blocks => format!("{}, or {any}", blocks.join(", ")),
                };
                Err(self.refuse(format!("layer `{layer}`"), allowed))
            }
            (_, label) => {
                let found = label.as_ref().map_or_else(String::new, |label| format!("label `{label}`"));
                let none = || "no label, as the network has none: name layers".to_owned();
                Err(self.refuse(found, if labels.is_empty() { none() } else { labels.join(", ") }))
            }
        }
    }
}

impl Display for MaskRule {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        if let Some(layer) = &self.layer {
            write!(f, "{layer}:")?;
        }
        if let Some(label) = &self.label {
            write!(f, "{label}=")?;
        }
        self.ratio.fmt(f)
    }
}

impl FromStr for MaskRule {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<MaskRule, ModelError> {
        let refuse = |what, found: &str, allowed: &str| {
            let (rule, found, allowed) = (text.to_owned(), format!("`{found}`"), allowed.to_owned());
            Err(ModelError::MaskRule { rule, what, found, allowed })
        };
        let (layer, rest) = match text.rsplit_once(':') {
            Some((layer, rest)) => (Some(layer.trim()), rest),
            None => (None, text),
        };
        let (label, ratio) = match rest.split_once('=') {
            Some((label, ratio)) => (Some(label.trim()), ratio),
            None => (None, rest),
        };
        if layer == Some("") {
            return refuse("its layer", "", "the name of a layer or block before the `:`");
        }
        if label == Some("") {
            return refuse("its label", "", "a label of the network before the `=`");
        }
        let Ok(share) = ratio.trim().parse::<f64>() else {
            return refuse("its ratio", ratio.trim(), "0 to 255/256 (0.996), as in `0.5` or `q=0.75,fc1=0`");
        };
        let owned = |part: Option<&str>| part.map(str::to_owned);
        Ok(MaskRule { layer: owned(layer), label: owned(label), ratio: MaskRatio::try_from(share)? })
    }
}

/// Rules in the order in which they apply; none leaves the network as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MaskRules(pub Vec<MaskRule>);

impl MaskRules {
    /// Sets the ratio of every layer that a rule covers.
    ///
    /// # Errors
    /// If a rule names a layer or a label that the network does not have.
    pub fn apply(&self, network: &mut Network) -> Result<(), ModelError> {
        for rule in &self.0 {
            rule.check(network)?;
            for layer in network.layers.iter_mut().filter(|layer| rule.covers(layer)) {
                layer.mask.ratio = rule.ratio.0;
            }
        }
        Ok(())
    }
}

impl From<MaskRatio> for MaskRules {
    /// The same ratio for every layer with a label.
    fn from(ratio: MaskRatio) -> MaskRules {
        MaskRules(vec![MaskRule { layer: None, label: None, ratio }])
    }
}

impl FromStr for MaskRules {
    type Err = ModelError;

    fn from_str(text: &str) -> Result<MaskRules, ModelError> {
        text.split(',').map(|rule| rule.trim().parse()).collect::<Result<_, _>>().map(MaskRules)
    }
}

impl Display for MaskRules {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        for (i, rule) in self.0.iter().enumerate() {
            f.write_str(if i > 0 { "," } else { "" })?;
            rule.fmt(f)?;
        }
        Ok(())
    }
}

/// The labels of a network's layers, in the order of evaluation.
pub fn labels(network: &Network) -> Vec<&str> {
    distinct(network.layers.iter().filter_map(|layer| layer.mask.label.as_deref()))
}

/// The blocks that have labelled layers, in order: `stages.0.blocks.1` for `stages.0.blocks.1.attn.q`.
pub fn maskable_blocks(network: &Network) -> Vec<&str> {
    let labelled = network.layers.iter().filter(|layer| layer.mask.label.is_some());
    // The last two parts of a name tell the matrix; a shorter name is its own block.
    distinct(labelled.map(|layer| layer.name.rsplitn(3, '.').nth(2).unwrap_or(&layer.name)))
}

/// Each of them once, where it comes first.
fn distinct<'n>(names: impl Iterator<Item = &'n str>) -> Vec<&'n str> {
    names.fold(Vec::new(), |mut seen, name| {
        if !seen.contains(&name) {
            seen.push(name);
        }
        seen
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rule() -> impl Strategy<Value = MaskRule> {
        let layer = proptest::option::of("[a-z0-9]{1,4}(\\.[a-z0-9]{1,4}){0,3}");
        let label = proptest::option::of("[a-z0-9]{1,4}");
        (layer, label, any::<u8>()).prop_map(|(layer, label, ratio)| MaskRule {
            layer,
            label,
            ratio: MaskRatio(ratio),
        })
    }

    proptest! {
        #[test]
        fn rules_come_back_from_their_text(rules in proptest::collection::vec(rule(), 1..6)) {
            let rules = MaskRules(rules);
            prop_assert_eq!(rules.to_string().parse::<MaskRules>().unwrap(), rules);
        }

        #[test]
        fn no_text_panics(text in "[a-z0-9.,:= -]{0,30}|\\PC{0,20}") {
            let _ = text.parse::<MaskRules>();
        }
    }

    #[test]
    fn ratios_are_the_nearest_256th() {
        assert_eq!(MaskRatio::try_from(0.75).unwrap(), MaskRatio(192));
        assert_eq!(MaskRatio::try_from(0.0).unwrap(), MaskRatio(0));
        for refused in [1.0, -0.1, f64::NAN, f64::INFINITY] {
            assert!(MaskRatio::try_from(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn wrong_rules_name_the_part_and_what_is_allowed() {
        for (text, words) in [
            ("", ["its ratio is ``", "0 to 255/256"]),
            ("half", ["its ratio is `half`", "0 to 255/256"]),
            ("=0.5", ["its label is ``", "before the `=`"]),
            ("q=0.5,:k=0.5", ["its layer is ``", "before the `:`"]),
            ("q=1.5", ["--mask is 1.5", "0 to 255/256"]),
        ] {
            let said = text.parse::<MaskRules>().unwrap_err().to_string();
            assert!(words.iter().all(|word| said.contains(word)), "`{text}`: {said}");
        }
    }
}
