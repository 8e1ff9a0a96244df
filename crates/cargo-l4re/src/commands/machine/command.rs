//! The list of commands that need machines, and the way to each one's function.

use std::sync::Arc;

use clap::Subcommand;
use l4re_cloud::Power;

use super::{
    ami, console, deploy, doctor, gc, keeper, park, power, ps, run, runner, script, test,
    test_starter, twin, upload, watch,
};
use crate::commands::Context;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::settings::Settings;

/// What to do with machines.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run on the desk: build, boot on the twin, show the console, stop at the end
    Run(run::Arguments),
    /// Build and boot again at every change, on the desk or on a machine that waits
    Watch(watch::Arguments),
    /// Boot entries and judge each by its tests (TAP) or by what is expected of it
    Test(test::Arguments),
    /// Boot a test of L4Re's `make test`: its EXTERNAL_TEST_STARTER
    TestStarter(test_starter::Arguments),
    /// Run a program on the desk: Cargo's `runner`
    Runner(runner::Arguments),
    /// Build, upload, launch on EC2 (or the twin), show the console
    Deploy(Box<deploy::Arguments>),
    /// Launch a machine that waits in iPXE for its image (`deploy --on NAME`)
    Park(park::Arguments),
    /// Show the console of an instance and type into it
    Console(console::Arguments),
    /// List instances
    Ps(ps::Arguments),
    /// Stop instances at once
    Stop(power::Arguments),
    /// Start stopped instances
    Start(power::Arguments),
    /// Reboot instances; iPXE fetches the image anew
    Reboot(power::Arguments),
    /// Terminate instances
    Rm(power::Arguments),
    /// AMIs of this account: build, list, rm
    Ami(ami::Arguments),
    /// Remove what is past its expiry: instances, images, snapshots, volumes, schedules, objects
    Gc(gc::Arguments),
    /// Say what will not work, before it costs anything
    Doctor(doctor::Arguments),
    /// Upload an image and print its presigned URL
    Upload(upload::Arguments),
    /// Print the iPXE script that boots an image
    Script(script::Arguments),
    /// The EC2 on the desk: start, stop, status, env
    Twin(twin::Arguments),
    /// What QEMU starts for a guest's connection
    #[command(hide = true)]
    TwinPipe(twin::Pipe),
    /// What ends the machines of tests that were killed
    #[command(hide = true)]
    Keeper(keeper::Arguments),
}

impl Command {
    /// Carries out what needs no settings and must be quick: a guest's connection.
    pub fn at_once(&self) -> Option<Result<(), Failure>> {
        match self {
            Self::TwinPipe(arguments) => Some(twin::pipe(arguments)),
            _ => None,
        }
    }

    /// Adds to the settings what the command line itself describes.
    pub fn declare(&self, settings: &mut Settings, environment: &Environment) {
        if let Self::Runner(arguments) = self {
            settings.declare(arguments.entry(environment));
        }
    }

    /// Carries it out.
    pub fn carry_out(&self, context: &Arc<Context>) -> Result<(), Failure> {
        match self {
            Self::Run(arguments) => run::run(context, arguments),
            Self::Watch(arguments) => watch::watch(context, arguments),
            Self::Test(arguments) => test::test(context, arguments),
            Self::TestStarter(arguments) => test_starter::test_starter(context, arguments),
            Self::Keeper(arguments) => keeper::keeper(context, arguments),
            Self::Runner(arguments) => runner::runner(context, arguments),
            Self::Deploy(arguments) => deploy::deploy(context, arguments),
            Self::Park(arguments) => park::park(context, arguments),
            Self::Console(arguments) => console::console(context, arguments),
            Self::Ps(arguments) => ps::ps(context, arguments),
            Self::Stop(arguments) => power::power(context, arguments, Power::Stop),
            Self::Start(arguments) => power::power(context, arguments, Power::Start),
            Self::Reboot(arguments) => power::power(context, arguments, Power::Reboot),
            Self::Rm(arguments) => power::power(context, arguments, Power::Terminate),
            Self::Ami(arguments) => ami::ami(context, arguments),
            Self::Gc(arguments) => gc::gc(context, arguments),
            Self::Doctor(arguments) => doctor::doctor(context, arguments),
            Self::Upload(arguments) => upload::upload(context, arguments),
            Self::Script(arguments) => script::script(context, arguments),
            Self::Twin(arguments) => twin::twin(context, arguments),
            Self::TwinPipe(arguments) => twin::pipe(arguments),
        }
    }
}
