// Lattice ECP5 evaluation board: oscillator, PLL, reset, USB serial line and lights around mst_soc.
//
// The serial line reaches the FT2232H's second channel through two resistors that some boards leave out: see the board's manual.
//
// The clock is 12 MHz * CLKFB_DIV / CLKI_DIV and must be `clock_hz` of mst_soc.json; the PLL's oscillator runs at that times
// CLKOP_DIV, which must lie between 400 and 800 MHz.

`default_nettype none

module ecp5_evn (
    input wire clk_12mhz,
    input wire rst_n,         // resets everything while pressed
    input wire rx,            // from the host
    output wire tx,           // to the host
    output wire [7:0] led_n   // lit when low; 0: a run is in progress, 1: a run failed, 6: clock locked, 7: heartbeat
);

    wire clk;
    wire locked;

    (* FREQUENCY_PIN_CLKI = "12" *)
    (* ICP_CURRENT = "12" *) (* LPF_RESISTOR = "8" *) (* MFG_ENABLE_FILTEROPAMP = "1" *) (* MFG_GMCREF_SEL = "2" *)
    EHXPLLL #(
        .CLKI_DIV(3),
        .CLKFB_DIV(10),
        .CLKOP_DIV(15),
        .CLKOP_CPHASE(7),
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
        .CLKI(clk_12mhz),
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
    wire stop = !locked || !rst_n;
    reg [3:0] settled = 4'd0;

    always @(posedge clk or posedge stop) begin
        if (stop) begin
            settled <= 4'd0;
        end else begin
            settled <= {settled[2:0], 1'b1};
        end
    end

    reg rst = 1'b1;

    always @(posedge clk) begin
        rst <= !settled[3];
    end

    reg [25:0] beat = 26'd0;

    always @(posedge clk) begin
        beat <= beat + 26'd1;
    end

    wire busy;
    wire error;

    mst_soc soc (
        .clk(clk),
        .rst(rst),
        .rx(rx),
        .tx(tx),
        .busy(busy),
        .error(error)
    );

    assign led_n = ~{beat[25], locked, 4'd0, error, busy};

endmodule

`default_nettype wire
