#!/usr/bin/env escript
main([Program]) ->
    Port = open_port({spawn_executable, Program}, [{packet, 2}, binary, exit_status]), port_command(Port, "?"),
    {Status, Text} = receive
        {Port, {data, <<"t", Value/binary>>}} -> {0, ["a value for Authorization, ", integer_to_list(size(Value)), " bytes"]};
        {Port, {data, <<"r", Why/binary>>}} -> {1, ["refused: ", Why]};
        {Port, {data, <<"o", Why/binary>>}} -> {75, ["an outage: ", Why]};
        {Port, {exit_status, Ended}} -> {70, ["the port program ended: ", integer_to_list(Ended)]}
    end,
    io:format("~ts~n", [Text]), halt(Status).
