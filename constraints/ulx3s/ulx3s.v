// ULX3S 85F: oscillator, USB serial line and lights around mst_soc. The clock must be `clock_hz` of mst_soc.json.

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
    wire rst;
    wire locked;
    wire heartbeat;
    wire busy;
    wire error;

    ecp5_clock #(
        .CLKI_DIV(1),
        .CLKFB_DIV(3),
        .CLKOP_DIV(8)
    ) clock (
        .oscillator(clk_25mhz),
        .stop(btn_fire1),
        .clk(clk),
        .rst(rst),
        .locked(locked),
        .heartbeat(heartbeat)
    );

    mst_soc soc (
        .clk(clk),
        .rst(rst),
        .rx(ftdi_txd),
        .tx(ftdi_rxd),
        .busy(busy),
        .error(error)
    );

    assign led = {heartbeat, locked, 4'd0, error, busy};
    assign wifi_gpio0 = 1'b1;

endmodule

`default_nettype wire
