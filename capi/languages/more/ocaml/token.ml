external token : unit -> int * string = "token"
let () = match token () with
  | 0, value -> Printf.printf "a value for Authorization, %d bytes\n" (String.length value)
  | 1, why -> print_endline ("refused: " ^ why); exit 1
  | _, why -> print_endline ("an outage: " ^ why); exit 75
