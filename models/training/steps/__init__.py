"""Methods of training or compression for any architecture: `ecgwatch models method NAME`."""
