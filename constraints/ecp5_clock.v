// Clock and reset of an ECP5 board: PLL, a reset that ends in step with the clock, a heartbeat.
//
// The clock is the oscillator's * CLKFB_DIV / CLKI_DIV; the PLL's own oscillator runs at that times CLKOP_DIV, which must lie between
// 400 and 800 MHz.

`default_nettype none

module ecp5_clock #(
    parameter CLKI_DIV = 1,
    parameter CLKFB_DIV = 1,
    parameter CLKOP_DIV = 8
) (
    input wire oscillator,
    input wire stop,          // resets everything while high; any clock
    output wire clk,
    output reg rst = 1'b1,    // from the start until the clock is locked and `stop` is low
    output wire locked,
    output wire heartbeat     // changes every 2^25 cycles
);

    (* ICP_CURRENT = "12" *) (* LPF_RESISTOR = "8" *) (* MFG_ENABLE_FILTEROPAMP = "1" *) (* MFG_GMCREF_SEL = "2" *)
    EHXPLLL #(
        .CLKI_DIV(CLKI_DIV),
        .CLKFB_DIV(CLKFB_DIV),
        .CLKOP_DIV(CLKOP_DIV),
        .CLKOP_CPHASE(CLKOP_DIV / 2),
        .CLKOP_FPHASE(0),
        .CLKOP_ENABLE("ENABLED"),
        .CLKOP_TRIM_DELAY(0),
        .CLKOP_TRIM_POL("FALLING"),
        .FEEDBK_PATH("CLKOP"),
        .OUTDIVIDER_MUXA("DIVA"),
        .PLLRST_ENA("DISABLED"),
        .INTFB_WAKE("DISABLED"),
        .STDBY_ENABLE("DISABLED"),
        .DPHASE_SOURCE("DISABLED")
    ) pll (
        .CLKI(oscillator),
        .CLKFB(clk),
        .CLKOP(clk),
        .LOCK(locked),
        .RST(1'b0),
        .STDBY(1'b0),
        .PHASESEL0(1'b0),
        .PHASESEL1(1'b0),
        .PHASEDIR(1'b0),
        .PHASESTEP(1'b0),
        .PHASELOADREG(1'b0),
        .PLLWAKESYNC(1'b0),
        .ENCLKOP(1'b0)
    );

    // Reset begins at once and ends in step with the clock.
    wire unsettled = !locked || stop;
    reg [3:0] settled = 4'd0;

    always @(posedge clk or posedge unsettled) begin
        if (unsettled) begin
            settled <= 4'd0;
        end else begin
            settled <= {settled[2:0], 1'b1};
        end
    end

    always @(posedge clk) begin
        rst <= !settled[3];
    end

    reg [25:0] beat = 26'd0;

    always @(posedge clk) begin
        beat <= beat + 26'd1;
    end

    assign heartbeat = beat[25];

endmodule

`default_nettype wire
