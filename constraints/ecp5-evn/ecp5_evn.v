// Lattice ECP5 evaluation board: oscillator, USB serial line and lights around mst_soc. The clock must be `clock_hz` of mst_soc.json.
//
// The serial line reaches the FT2232H's second channel through two resistors that some boards leave out: see the board's manual.

`default_nettype none

module ecp5_evn (
    input wire clk_12mhz,
    input wire rst_n,         // resets everything while pressed
    input wire rx,            // from the host
    output wire tx,           // to the host
    output wire [7:0] led_n   // lit when low; 0: a run is in progress, 1: a run failed, 6: clock locked, 7: heartbeat
);

    wire clk;
    wire rst;
    wire locked;
    wire heartbeat;
    wire busy;
    wire error;

    ecp5_clock #(
        .CLKI_DIV(3),
        .CLKFB_DIV(32),
        .CLKOP_DIV(5)
    ) clock (
        .oscillator(clk_12mhz),
        .stop(!rst_n),
        .clk(clk),
        .rst(rst),
        .locked(locked),
        .heartbeat(heartbeat)
    );

    mst_soc soc (
        .clk(clk),
        .rst(rst),
        .rx(rx),
        .tx(tx),
        .busy(busy),
        .error(error)
    );

    assign led_n = ~{heartbeat, locked, 4'd0, error, busy};

endmodule

`default_nettype wire
