//! Fork servers, as many as programs are judged at a time.

use std::os::fd::AsFd;
use std::sync::{Mutex, PoisonError};

use pspo::plugin::VerifyError;
use pspo::sandbox::{ForkServer, Group, Program, Running, Sandbox, SandboxConfig};
use pspo::verify::failed;

use crate::channel::Channel;

use crate::PythonConfig;
use crate::python::Python;

/// What a fork server runs.
const SERVER: &str = concat!(
    include_str!("server/plain.py"),
    include_str!("server/candidate.py"),
    include_str!("server/judge.py"),
    include_str!("server/server.py"),
);

/// Runs [`SERVER`], its last argument, with builtins of its own: a program that changes the interpreter's does not
/// change what the server's functions see.
const START: &str = "import builtins, sys; exec(compile(sys.argv.pop(), 'server.py', 'exec'), \
                     {'__builtins__': dict(vars(builtins)), '__name__': 'server'})";

/// Idle servers; one is started whenever none is idle.
pub(crate) struct Servers {
    python: Python,
    sandbox: Sandbox,
    prelude: String,
    idle: Mutex<Vec<ForkServer>>,
}

impl Servers {
    pub fn new(config: &PythonConfig) -> Result<Self, VerifyError> {
        let python = Python::ask(&config.python)?;
        let readable = [&python.readable[..], &config.readable[..]].concat();
        let sandbox =
            SandboxConfig { limits: config.limits.clone(), require: config.require.clone(), readable };
        let sandbox = Sandbox::new(sandbox).map_err(failed)?;
        let prelude = config.prelude.clone();
        let servers = Self { python, sandbox, prelude, idle: Mutex::default() };
        // So that an interpreter that cannot be used is noticed now.
        servers.with(|_| Ok(()))?;
        Ok(servers)
    }

    pub fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    pub fn python(&self) -> &Python {
        &self.python
    }

    /// Uses a server. One that failed is not used again; a program or test that is not supported says nothing of it.
    pub fn with<T>(
        &self,
        use_it: impl FnOnce(&mut ForkServer) -> Result<T, VerifyError>,
    ) -> Result<T, VerifyError> {
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut server = match idle {
            Some(server) => server,
            None => {
                let program = Program::new(&self.python.executable);
                let program = program.args(["-s", "-B", "-c", START, &self.prelude, SERVER]);
                // The same program is to run the same way again, and what is linked once is linked for all.
                let program = program.env("PYTHONHASHSEED", "0").env("LD_BIND_NOW", "1");
                ForkServer::start(&self.sandbox, &program).map_err(failed)?
            }
        };
        let used = use_it(&mut server);
        if matches!(used, Ok(_) | Err(VerifyError::Unsupported(_))) {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(server);
        }
        used
    }
}

/// The server's names for what it forks: a process that runs a program, and one that is trusted.
pub(crate) const CANDIDATE: u8 = b'C';
const JUDGE: u8 = b'J';

/// A process that is trusted: it runs the problem's own code, for one program.
pub(crate) struct Judge {
    pub running: Running,
    pub channel: Channel,
}

/// Forks a judge. Before the program that it is for, which could leave no room for one.
pub(crate) fn judge(server: &mut ForkServer) -> Result<Judge, VerifyError> {
    let (channel, inner) = Channel::new()?;
    let running = server.fork(JUDGE, Group::Servers, b"", &[inner.as_fd()]).map_err(failed)?;
    Ok(Judge { running, channel })
}
