//! Partial sums between the passes of a layer.

use isa::CoreConfig;

use super::{Drive, Integrate, Ports};
use crate::rtl::{Builder, Expr, index_width, lit};

/// A pass's partial sums, on their way from and to the sum buffer.
pub(super) struct Sums {
    pub writing: Expr,
}

pub(super) fn sums(
    m: &mut Builder,
    config: &CoreConfig,
    ports: &Ports,
    integrate: &Integrate,
    drive: &Drive,
) -> Sums {
    m.comment("Partial sums: one after the other, as they were written. The lanes' drive is there two cycles after its capture.");
    let row_bits = index_width(config.sum_rows);
    let moves = &integrate.advance & &ports.event_valid & &ports.event_last;
    let read_row = m.reg_reset("read_row", row_bits, 0);
    m.set_if(&read_row, &ports.preset_job, &read_row.like(0));
    m.set_if(&read_row, &moves, &read_row.inc());
    let captured = m.delay_reset("sum_captured", &(&drive.capture & &ports.to_sums));
    let write = m.delay_reset("sum_write_now", &captured);
    let write_row = m.reg_reset("write_row", row_bits + 1, 0);
    let full = m.named("sums_full_now", &write_row.ge_lit(u64::from(config.sum_rows)));
    m.carries(&write_row, u64::from(config.sum_rows));
    m.set_if(&write_row, &ports.preset_job, &write_row.like(0));
    m.set_if(&write_row, &(&write & !&full), &write_row.inc());
    m.output_doc("sum_read_row", &read_row, "row of the sum buffer that the event's sum starts from");
    let load = &integrate.advance & &integrate.valid_1 & &integrate.sum_1;
    m.output_doc("load_sum", &load, "the event is its sum's first, in a pass after the first");
    m.output_doc("sum_write", &(&write & !&full), "the drives are partial sums");
    m.output_doc("sum_write_row", &write_row.trunc(row_bits), "their row of the sum buffer");
    m.output_doc("sums_full", &(&write & &full), "there is no row for a partial sum");
    let rows = Rows {
        number: config.sum_rows,
        read: &read_row,
        write: &write_row,
        captured: &captured,
        writes: &write,
        full: &full,
    };
    sum_rules(m, ports, integrate, &rows);
    Sums { writing: captured | write }
}

/// Rows of the sum buffer, and the sums on their way to it.
struct Rows<'a> {
    number: u32,
    read: &'a Expr,
    write: &'a Expr,
    captured: &'a Expr,
    writes: &'a Expr,
    full: &'a Expr,
}

fn sum_rules(m: &mut Builder, ports: &Ports, integrate: &Integrate, rows: &Rows<'_>) {
    m.formal(|m| {
        m.comment("Sums begun and completed since the job began. Sums without a row are counted, too.");
        let bits = rows.write.width() + 1;
        let mut count = |name: &str, when: &Expr| {
            let register = m.reg_reset(name, bits, 0);
            m.set_if(&register, &ports.preset_job, &lit(0, bits));
            m.set_if(&register, when, &register.inc());
            register
        };
        let moves = &integrate.advance & &ports.event_valid;
        let begun = count("sums_begun", &(&moves & &integrate.first_of_sum));
        let completed = count("sums_completed", &(&integrate.accumulate & &integrate.last_2));
        let unkept = count("sums_without_row", &(rows.writes & rows.full));
        let row_bits = rows.read.width();
        let open = (!&integrate.first_of_sum).zext(row_bits);
        m.assert_formal(
            "reads_its_row",
            "The row read is the number of sums begun, this one's own while it is under way.",
            &(rows.read + open).eq(&begun.trunc(row_bits)),
        );
        let under_way = [&integrate.sum_full, rows.captured, rows.writes];
        let all =
            under_way.into_iter().fold(rows.write.zext(bits) + unkept, |sum, flag| sum + flag.zext(bits));
        m.assert_formal(
            "writes_its_row",
            "The row written is the number of partial sums completed before.",
            &(!&ports.to_sums | all.eq(&completed)),
        );
        let writes = rows.writes & !rows.full;
        m.assert_formal(
            "writes_no_row_beyond",
            "No row beyond the last is written.",
            &(!writes | rows.write.lt_lit(rows.number.into())),
        );
        m.assert_formal(
            "partial_sums_do_not_fire",
            "A partial sum is not handed to the neurons.",
            &!(&ports.to_sums & &integrate.drive_full),
        );
    });
}
