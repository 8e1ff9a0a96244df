//! iPXE's commands and the running of scripts. Spec: iPXE's `hci/commands`, `usr/imgmgmt.c`
//! and `image/script.c`; a command that is not here is one that cloud builds lack, or one
//! that needs a person.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest, Sha256};

use crate::script::failure::Failure;
use crate::script::fetch::Fetcher;
use crate::script::images::{Image, Images, Kind};
use crate::script::options::{Known, Options};
use crate::script::settings::{Settings, number};
use crate::script::shell::{Join, commands, expand, find_label, lines};

/// Scripts that call scripts: no deeper than this.
const MAX_DEPTH: usize = 16;

const IMAGE_OPTIONS: Known = &[
    ("name", 'n', true),
    ("timeout", 't', true),
    ("autofree", 'a', false),
    ("replace", 'r', false),
];

/// How a script ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum End {
    /// With a program to be booted, and its arguments.
    Boot(Bytes, String),
    Reboot,
    PowerOff,
    /// By its last line, by `exit`, or by a line that failed.
    Script(Result<(), Failure>),
}

/// What a command wants beside having succeeded.
enum Step {
    Next,
    Goto(String),
    Leave(End),
}

type Stepped = Result<Step, Failure>;
type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One boot of iPXE.
pub(super) struct Interpreter {
    settings: Settings,
    images: Images,
    fetcher: Fetcher,
    print: Box<dyn Fn(&str) + Send + Sync>,
    depth: usize,
}

impl Interpreter {
    pub(super) fn new(
        settings: Settings,
        fetcher: Fetcher,
        print: Box<dyn Fn(&str) + Send + Sync>,
    ) -> Self {
        Self { settings, images: Images::default(), fetcher, print, depth: 0 }
    }

    /// Starts what the metadata service gave.
    pub(super) async fn start(&mut self, name: &str, data: Bytes) -> End {
        let image = Image { name: name.to_owned(), arguments: String::new(), data };
        self.execute(&image).await
    }

    fn say(&self, text: &str) {
        (self.print)(&format!("{text}\r\n"));
    }

    /// Runs a script, or ends with a program.
    fn execute<'a>(&'a mut self, image: &'a Image) -> Boxed<'a, End> {
        Box::pin(async move {
            match image.kind() {
                Kind::Program => End::Boot(image.data.clone(), image.arguments.clone()),
                Kind::Unknown => End::Script(Err(Failure::EXEC)),
                Kind::Script if self.depth == MAX_DEPTH => End::Script(Err(Failure::TOO_DEEP)),
                Kind::Script => {
                    self.depth += 1;
                    let end = self.script(&String::from_utf8_lossy(&image.data)).await;
                    self.depth -= 1;
                    end
                }
            }
        })
    }

    async fn script(&mut self, text: &str) -> End {
        let lines = lines(text);
        let mut at = 0;
        while let Some(line) = lines.get(at) {
            at += 1;
            if line.starts_with(':') || line.starts_with('#') {
                continue;
            }
            match self.line(line).await {
                Ok(Step::Next) => {}
                Ok(Step::Goto(label)) => match find_label(&lines, &label) {
                    Some(line) => at = line,
                    None => return End::Script(Err(Failure::NO_IMAGE)),
                },
                Ok(Step::Leave(end)) => return end,
                Err(failure) => return End::Script(Err(failure)),
            }
            // A script that only jumps would otherwise hold the runtime's thread.
            tokio::task::yield_now().await;
        }
        End::Script(Ok(()))
    }

    /// One line: the failure of its last command is the line's.
    async fn line(&mut self, line: &str) -> Stepped {
        let mut result = Ok(());
        for (join, words) in commands(line) {
            let runs = match join {
                Join::Always => true,
                Join::Success => result.is_ok(),
                Join::Failure => result.is_err(),
            };
            if !runs {
                continue;
            }
            let words: Vec<String> =
                words.iter().map(|word| expand(word, |name| self.settings.get(name))).collect();
            result = match self.command(&words).await {
                Ok(Step::Next) => Ok(()),
                Ok(step) => return Ok(step),
                Err(failure) => {
                    self.settings.set("errno", format!("{:#010x}", failure.errno));
                    Err(failure)
                }
            };
        }
        result.map(|()| Step::Next)
    }

    async fn command(&mut self, words: &[String]) -> Stepped {
        let Some((name, rest)) = words.split_first() else { return Ok(Step::Next) };
        match name.as_str() {
            "imgfetch" | "initrd" | "module" => self.fetch(rest, false).await,
            "kernel" | "imgselect" | "imgload" => self.fetch(rest, true).await,
            "chain" | "imgexec" | "boot" => self.boot(rest).await,
            "sleep" => {
                let seconds = rest.first().map_or(0, |text| number(text));
                let seconds = u64::try_from(seconds).map_err(|_| Failure::INVALID)?;
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                Ok(Step::Next)
            }
            "prompt" => self.prompt(rest).await,
            _ => self.plain(name, rest),
        }
    }

    /// Commands that neither wait nor load.
    fn plain(&mut self, name: &str, rest: &[String]) -> Stepped {
        match name {
            "echo" => self.echo(rest),
            "set" => {
                let (name, value) = rest.split_first().ok_or(Failure::INVALID)?;
                self.settings.set(name, value.join(" "));
            }
            "clear" => {
                self.settings.set(rest.first().ok_or(Failure::INVALID)?, String::new());
            }
            "inc" => {
                let name = rest.first().ok_or(Failure::INVALID)?;
                self.settings.increase(name, rest.get(1).map_or(1, |by| number(by)));
            }
            "isset" => return holds(rest.iter().any(|word| !word.is_empty())),
            "iseq" => return holds(rest.len() == 2 && rest[0] == rest[1]),
            "goto" => {
                let label = rest.first().ok_or(Failure::INVALID)?;
                return Ok(Step::Goto(label.clone()));
            }
            "exit" => {
                let failed = rest.first().is_some_and(|code| number(code) != 0);
                let result = if failed { Err(Failure::FALSE) } else { Ok(()) };
                return Ok(Step::Leave(End::Script(result)));
            }
            "reboot" => return Ok(Step::Leave(End::Reboot)),
            "poweroff" => return Ok(Step::Leave(End::PowerOff)),
            "imgfree" => return self.free(rest),
            "imgstat" => self.list(),
            "imgargs" => {
                let (name, arguments) = rest.split_first().ok_or(Failure::INVALID)?;
                let image = self.images.find_mut(name).ok_or(Failure::NO_IMAGE)?;
                image.arguments = arguments.join(" ");
            }
            "sha256sum" => return self.sum(rest),
            "show" => {
                let name = rest.first().ok_or(Failure::INVALID)?;
                self.say(&format!("{name} = {}", self.settings.get(name)));
            }
            "ifstat" => {
                let mac = self.settings.get("mac");
                self.say(&format!(
                    "net0: {mac} using virtio-net on 0000:00:02.0 (Ethernet) [open]"
                ));
            }
            // The network is there and stays as it is.
            "dhcp" | "ifconf" | "ifopen" | "iflinkwait" | "route" | "console" | "colour"
            | "cpair" | "ntp" => {}
            unknown => {
                self.say(&format!("{unknown}: command not found"));
                return Err(Failure::UNKNOWN_COMMAND);
            }
        }
        Ok(Step::Next)
    }

    fn echo(&self, words: &[String]) {
        match words.split_first() {
            Some((first, rest)) if first == "-n" => (self.print)(&rest.join(" ")),
            _ => self.say(&words.join(" ")),
        }
    }

    /// Nobody sits here to press a key: the time passes, and that is a failure.
    async fn prompt(&self, words: &[String]) -> Stepped {
        let known: Known = &[("key", 'k', true), ("timeout", 't', true)];
        let options = Options::read(words, known)?;
        self.say(&options.words.join(" "));
        match options.get("timeout") {
            Some(milliseconds) => tokio::time::sleep(milliseconds_of(milliseconds)?).await,
            None => std::future::pending().await,
        }
        Err(Failure::TIMED_OUT)
    }

    async fn fetch(&mut self, words: &[String], select: bool) -> Stepped {
        let options = Options::read(words, IMAGE_OPTIONS)?;
        let name = self.acquire(&options).await?;
        if select {
            self.images.select(&name);
        }
        Ok(Step::Next)
    }

    async fn boot(&mut self, words: &[String]) -> Stepped {
        let options = Options::read(words, IMAGE_OPTIONS)?;
        let image = if options.words.is_empty() {
            match self.images.selected() {
                Some(image) => image.clone(),
                None => {
                    self.say("No image selected");
                    return Err(Failure::NO_IMAGE);
                }
            }
        } else {
            let name = self.acquire(&options).await?;
            self.images.find(&name).cloned().ok_or(Failure::NO_IMAGE)?
        };
        if options.has("autofree") {
            self.images.free(&image.name);
        }
        let replace = options.has("replace");
        match self.execute(&image).await {
            // With --replace this script does not go on behind the other.
            End::Script(result) if replace => Ok(Step::Leave(End::Script(result))),
            End::Script(Ok(())) => Ok(Step::Next),
            End::Script(Err(failure)) => {
                self.say(&format!("Could not boot: {failure}"));
                Err(failure)
            }
            end => Ok(Step::Leave(end)),
        }
    }

    /// Downloads, unless an image of that name is there; answers its name.
    async fn acquire(&mut self, options: &Options) -> Result<String, Failure> {
        let (url, arguments) = options.words.split_first().ok_or(Failure::INVALID)?;
        let name = options.get("name").map_or_else(|| file_name(url), str::to_owned);
        for known in [url.as_str(), &name] {
            if let Some(image) = self.images.find_mut(known) {
                if !arguments.is_empty() {
                    image.arguments = arguments.join(" ");
                }
                return Ok(known.to_owned());
            }
        }
        // As iPXE prints it: a query may hold a signature.
        let shown = url.split(['?', '#']).next().unwrap_or(url);
        (self.print)(&format!("{shown}..."));
        let download = self.fetcher.get(url);
        let result = match options.get("timeout") {
            Some(limit) => tokio::time::timeout(milliseconds_of(limit)?, download)
                .await
                .unwrap_or(Err(Failure::TIMED_OUT)),
            None => download.await,
        };
        match result {
            Ok(data) => {
                self.say(" ok");
                self.images.add(Image { name: name.clone(), arguments: arguments.join(" "), data });
                Ok(name)
            }
            Err(failure) => {
                self.say(&format!(" {failure}"));
                Err(failure)
            }
        }
    }

    fn free(&mut self, names: &[String]) -> Stepped {
        if names.is_empty() {
            self.images.free_all();
        }
        for name in names {
            if !self.images.free(name) {
                self.say(&format!("\"{name}\": no such image"));
                return Err(Failure::NO_IMAGE);
            }
        }
        Ok(Step::Next)
    }

    fn list(&self) {
        for (image, selected) in self.images.iter() {
            let kind = match image.kind() {
                Kind::Script => " [script]",
                Kind::Program => " [EFI]",
                Kind::Unknown => "",
            };
            let selected = if selected { " [SELECTED]" } else { "" };
            self.say(&format!("{} : {} bytes{kind}{selected}", image.name, image.data.len()));
        }
    }

    fn sum(&mut self, words: &[String]) -> Stepped {
        let options = Options::read(words, &[("set", 's', true)])?;
        for name in &options.words {
            let image = self.images.find(name).ok_or(Failure::NO_IMAGE)?;
            let sum = hex::encode(Sha256::digest(&image.data));
            match options.get("set") {
                Some(setting) => self.settings.set(setting, sum),
                None => self.say(&format!("{sum}  {name}")),
            }
        }
        Ok(Step::Next)
    }
}

fn holds(condition: bool) -> Stepped {
    if condition { Ok(Step::Next) } else { Err(Failure::FALSE) }
}

fn milliseconds_of(text: &str) -> Result<Duration, Failure> {
    u64::try_from(number(text)).map(Duration::from_millis).map_err(|_| Failure::INVALID)
}

/// An image is named by the last part of its path.
fn file_name(url: &str) -> String {
    let path = url.split(['?', '#']).next().unwrap_or(url);
    path.rsplit('/').next().unwrap_or(path).to_owned()
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::guest::Preface;

    /// Runs a script that can reach nothing; how it ended, and what it printed.
    fn run(script: &str) -> (End, String) {
        let printed = Arc::new(Mutex::new(String::new()));
        let out = printed.clone();
        let print = Box::new(move |text: &str| out.lock().unwrap().push_str(text));
        let guests = Preface { port: 1, secret: String::new() };
        let fetcher = Fetcher { guests, instance: "i-1".to_owned() };
        let mut interpreter = Interpreter::new(Settings::default(), fetcher, print);
        let script = Bytes::from(format!("#!ipxe\n{script}"));
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        let end = runtime.unwrap().block_on(interpreter.start("user-data", script));
        (
            end,
            Arc::try_unwrap(printed)
                .map_or_else(|p| p.lock().unwrap().clone(), |p| p.into_inner().unwrap()),
        )
    }

    #[test]
    fn a_retry_loop_counts_and_gives_up() {
        let (end, printed) = run("set try:int32 0\n\
             :again\n\
             inc try\n\
             echo try ${try}\n\
             iseq ${try} 3 && goto enough ||\n\
             imgfetch --name img http://10.0.0.1/x || goto again\n\
             :enough\n\
             isset ${none} || echo unset\n\
             exit\n\
             echo never\n");
        assert_eq!(end, End::Script(Ok(())));
        assert_eq!(
            printed,
            "try 1\r\nhttp://10.0.0.1/x... Network unreachable\r\ntry 2\r\n\
             http://10.0.0.1/x... Network unreachable\r\ntry 3\r\nunset\r\n"
        );
    }

    #[test]
    fn a_line_that_fails_ends_the_script_and_what_lacks_is_said() {
        let (end, printed) = run("imgverify x || echo caught\nnonsense\necho never\n");
        assert_eq!(end, End::Script(Err(Failure::UNKNOWN_COMMAND)));
        assert_eq!(
            printed,
            "imgverify: command not found\r\ncaught\r\nnonsense: command not found\r\n"
        );
    }

    #[test]
    fn sleeping_rebooting_and_booting_nothing() {
        assert_eq!(run("sleep 3600\nreboot\n").0, End::Reboot);
        assert_eq!(run("poweroff\n").0, End::PowerOff);
        let (end, printed) = run("boot\n");
        assert_eq!(
            (end, printed.as_str()),
            (End::Script(Err(Failure::NO_IMAGE)), "No image selected\r\n")
        );
        assert_eq!(run("goto nowhere\n").0, End::Script(Err(Failure::NO_IMAGE)));
    }

    #[test]
    fn values_keep_their_spaces_and_errors_their_number() {
        let (_, printed) =
            run("set a b  c\necho <${a}> || \nkernel http://10.0.0.1/x ||\necho ${errno}\n");
        assert!(printed.starts_with("<b c>\r\n"), "{printed}");
        assert!(printed.ends_with("0x28000000\r\n"), "{printed}");
    }
}
