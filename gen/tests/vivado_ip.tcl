# Stands in for Vivado: sources SCRIPT and prints every command of Vivado that it calls, one a line, as a Tcl list.
# Usage: tclsh vivado_ip.tcl SCRIPT. A command that is neither Tcl's nor in the list below is an error.
set vivado {
    create_project add_files current_fileset set_property get_property
    ipx::package_project ipx::current_core ipx::create_xgui_files ipx::update_checksums ipx::check_integrity ipx::save_core
    ipx::get_bus_interfaces ipx::add_bus_interface ipx::remove_bus_interface
    ipx::add_port_map ipx::get_port_maps ipx::add_bus_parameter ipx::get_bus_parameters
    ipx::get_memory_maps ipx::add_memory_map ipx::remove_memory_map
    ipx::add_address_block ipx::get_address_blocks ipx::add_address_space ipx::get_address_spaces
    ipx::add_register ipx::get_registers
}
# Objects of Vivado, by their handles: what they are and what they belong to. What is asked for must have been added.
set objects [dict create core 1]
proc handle {kind name of} { return "$of/$kind:$name" }
proc kind {command} { return [regsub {^(add|get|remove)_(.*?)s?$} [namespace tail $command] {\2}] }
proc record {name args} {
    global objects
    puts [list $name {*}$args]
    switch -glob $name {
        current_fileset { return fileset }
        get_property { return [regsub {.*:} [lindex $args 1] {}] }
        ipx::current_core { return core }
        ipx::add_* {
            lassign $args child of
            if {![dict exists $objects $of]} { error "$name: no object $of" }
            dict set objects [handle [kind $name] $child $of] 1
        }
        ipx::get_* {
            # All of a core: two things that Vivado inferred.
            if {[lindex $args 0] eq "-of_objects"} {
                return [list [handle [kind $name] inferred_1 core] [handle [kind $name] inferred_2 core]]
            }
            lassign $args child option of
            set found [handle [kind $name] $child $of]
            if {$option ne "-of_objects" || ![dict exists $objects $found]} { error "$name: no $child of $of" }
            return $found
        }
    }
    return ""
}
namespace eval ipx {}
foreach name $vivado { proc $name {args} "record $name {*}\$args" }
source [lindex $argv 0]
