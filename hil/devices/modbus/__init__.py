"""The server side of Modbus: registers, requests, RTU line, TCP host."""
