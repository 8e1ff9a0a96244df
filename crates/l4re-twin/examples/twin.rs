//! A twin by itself, for trying this crate alone: `twin serve DIR [IPXE_ARM64]` runs one
//! until its standard input ends, `twin status DIR` prints what points a client there,
//! `twin stop DIR` ends it, `twin pipe …` is what QEMU starts.

use std::time::Duration;

use l4re_twin::{Config, TwinError, pipe, serve, status, stop};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().collect();
    match words.get(1).map(String::as_str) {
        Some("pipe") => Ok(pipe(&words[2..])?),
        Some("serve") => Ok(run(&words)?),
        Some("status") => Ok(print(&words[2])?),
        Some("stop") => {
            stop(words[2].as_str().into(), Duration::from_secs(20)).map(|_| ()).map_err(Into::into)
        }
        _ => Err("serve DIR | status DIR | stop DIR".into()),
    }
}

fn run(words: &[String]) -> Result<(), TwinError> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let mut config = Config::new(words[2].as_str(), vec![words[0].clone(), "pipe".to_owned()]);
    config.ipxe_arm64 = words.get(3).map(Into::into);
    let runtime = tokio::runtime::Runtime::new().map_err(TwinError::Listen)?;
    runtime.block_on(serve(config, async {
        let _ = tokio::signal::ctrl_c().await;
    }))
}

#[expect(clippy::print_stdout, reason = "this is what it is for")]
fn print(dir: &str) -> Result<(), TwinError> {
    if let Some(twin) = status(dir.into())? {
        println!("export AWS_ACCESS_KEY_ID={}", twin.access_key_id);
        println!("export AWS_SECRET_ACCESS_KEY={}", twin.secret_access_key);
        println!("export AWS_REGION={} AWS_DEFAULT_REGION={0}", twin.region);
        println!("export AWS_ENDPOINT_URL={}", twin.endpoint);
        println!(
            "export TWIN_CONSOLE={} TWIN_HOST_KEY={}",
            twin.serial_console, twin.serial_console_fingerprint
        );
    }
    Ok(())
}
