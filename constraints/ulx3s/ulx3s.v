// ULX3S 85F: oscillator, PLL, reset, USB serial line and lights around mst_soc.
//
// The clock is 25 MHz * CLKFB_DIV / CLKI_DIV and must be `clock_hz` of mst_soc.json; the PLL's oscillator runs at that times
// CLKOP_DIV, which must lie between 400 and 800 MHz.

`default_nettype none

module ulx3s (
    input wire clk_25mhz,
    input wire btn_fire1,     // resets everything while pressed
    input wire ftdi_txd,      // from the host
    output wire ftdi_rxd,     // to the host
    output wire [7:0] led,    // 0: a run is in progress, 1: a run failed, 6: clock locked, 7: heartbeat
    output wire wifi_gpio0    // high, or the ESP32 takes the board over
);

    wire clk;
    wire locked;

    (* FREQUENCY_PIN_CLKI = "25" *)
    (* ICP_CURRENT = "12" *) (* LPF_RESISTOR = "8" *) (* MFG_ENABLE_FILTEROPAMP = "1" *) (* MFG_GMCREF_SEL = "2" *)
    EHXPLLL #(
        .CLKI_DIV(5),
        .CLKFB_DIV(8),
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
        .CLKI(clk_25mhz),
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
    wire stop = !locked || btn_fire1;
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
        .rx(ftdi_txd),
        .tx(ftdi_rxd),
        .busy(busy),
        .error(error)
    );

    assign led = {beat[25], locked, 4'd0, error, busy};
    assign wifi_gpio0 = 1'b1;

endmodule

`default_nettype wire
