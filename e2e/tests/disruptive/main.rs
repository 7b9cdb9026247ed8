//! Black-box tests that need the installation to themselves: they change it, break it, or time it. One by one.

mod addresses;
mod burst;
mod installation;
mod lifecycle;
mod link;
mod operator;
mod pods;
