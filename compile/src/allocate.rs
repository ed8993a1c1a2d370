//! Which bytes of memory each plane takes, and when a plane's bytes may be used again.

/// How eagerly the bytes of planes that nobody reads any more are used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// Never: every plane can be read back after a run.
    Never,
    /// Only by layers that wait for the earlier readers anyway, so that no layer waits longer.
    WithoutWaiting,
    /// By every later layer, which then waits for the earlier readers: least memory.
    Always,
}

/// One plane to place.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// Bytes; 0 takes no place.
    pub bytes: u64,
    /// The last layer that reads the plane, or the layer that writes it if nobody does.
    pub last_use: usize,
    /// Layers that must have completed before the writing layer starts, for its own inputs' sake.
    pub inputs_ready: u32,
}

/// Where a plane was placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Byte offset from the start of the region.
    pub offset: u64,
    /// Layers that must have completed before the writing layer starts, now also for the sake of what lay here before.
    pub inputs_ready: u32,
}

/// Places the plane of each layer, in the order of the layers. Returns the placements and the bytes that all of them span.
pub fn place(requests: &[Request], reuse: Reuse, alignment: u64) -> (Vec<Placement>, u64) {
    let mut placements: Vec<Placement> = Vec::with_capacity(requests.len());
    let mut end = 0;
    for (index, request) in requests.iter().enumerate() {
        // A plane placed earlier may be overwritten once its writer and all its readers have completed.
        let free_after = |earlier: usize| requests[earlier].last_use.max(earlier) as u32 + 1;
        let blocks = |earlier: &usize| match reuse {
            Reuse::Never => true,
            Reuse::WithoutWaiting => free_after(*earlier) > request.inputs_ready,
            Reuse::Always => free_after(*earlier) > index as u32,
        };
        let span = |earlier: usize| {
            (placements[earlier].offset, placements[earlier].offset + requests[earlier].bytes)
        };
        let mut taken: Vec<(u64, u64)> =
            (0..index).filter(|e| requests[*e].bytes > 0).filter(blocks).map(span).collect();
        taken.sort_unstable();
        let mut offset = 0u64;
        for (start, stop) in taken {
            if offset + request.bytes <= start {
                break;
            }
            offset = offset.max(stop.next_multiple_of(alignment));
        }
        let overlapped = (0..index).filter(|&e| {
            let (start, stop) = span(e);
            start < offset + request.bytes && offset < stop
        });
        let inputs_ready = overlapped.map(free_after).fold(request.inputs_ready, u32::max);
        placements.push(Placement { offset, inputs_ready });
        end = end.max(offset + request.bytes);
    }
    (placements, end)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Five layers in a chain: each reads the one before.
    fn chain() -> Vec<Request> {
        (0..5).map(|i| Request { bytes: 100, last_use: i + 1, inputs_ready: i as u32 }).collect()
    }

    #[test]
    fn kept_planes_never_overlap() {
        let (placements, end) = place(&chain(), Reuse::Never, 64);
        assert_eq!(placements.iter().map(|p| p.offset).collect::<Vec<_>>(), [0, 128, 256, 384, 512]);
        assert_eq!(end, 612);
    }

    #[test]
    fn a_chain_needs_two_places_and_waits_no_longer() {
        let (placements, end) = place(&chain(), Reuse::WithoutWaiting, 64);
        assert_eq!(placements.iter().map(|p| p.offset).collect::<Vec<_>>(), [0, 128, 0, 128, 0]);
        assert!(placements.iter().enumerate().all(|(i, p)| p.inputs_ready == i as u32));
        assert_eq!(end, 228);
    }

    #[test]
    fn reuse_makes_the_writer_wait_for_the_last_reader() {
        // Layer 1 reads plane 0 last; layer 2 reads nothing (inputs_ready 0) and may start before layer 1 is complete.
        let requests = [
            Request { bytes: 100, last_use: 1, inputs_ready: 0 },
            Request { bytes: 100, last_use: 3, inputs_ready: 1 },
            Request { bytes: 100, last_use: 3, inputs_ready: 0 },
        ];
        let (apart, _) = place(&requests, Reuse::WithoutWaiting, 64);
        assert_eq!((apart[2].offset, apart[2].inputs_ready), (256, 0));
        let (shared, _) = place(&requests, Reuse::Always, 64);
        assert_eq!((shared[2].offset, shared[2].inputs_ready), (0, 2));
    }
}
