/// Where private keys and random numbers come from: the committed pool by stream, or the operating
/// system.
pub trait KeySource {}
