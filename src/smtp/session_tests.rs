//! The client against servers no text can describe: the sink over TLS, one that reads nothing, one that sends octet by octet.
