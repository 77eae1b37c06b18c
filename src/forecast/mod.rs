//! What will become of a real cluster: its public parts are captured, a world is rebuilt from them with other
//! keys, and that world is walked into the future.
//!
//! [`capture`] reads, [`rebuild`] makes a world, [`plan`] says what happens meanwhile, [`play`] walks and writes
//! down what breaks, [`rules`] says what is wrong already, [`remedy`] what to do, and [`import`] makes a scenario
//! of what people paste.

pub mod capture;
