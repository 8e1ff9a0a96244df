//! AMIs of the account's own: from an image or an iPXE to a disk, and from there to an AMI.
//!
//! The disk is a file of the cache for as long as it takes. What was begun when the user
//! leaves stays in EC2, tagged, and the same command goes on with it.
//!
//! Invariant: of one image no two are made at once in this process: who comes second finds
//! the first one's.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use camino::Utf8PathBuf;
use jiff::Timestamp;
use l4re_cloud::{
    AmiContent, AmiFacts, AmiOwner, AmiRequest, BootMode, BuiltAmi, LaunchOptions, PlannedCall,
};
use l4re_image::{DiskOptions, Image, write_disk};

use super::connect::Connection;
use crate::commands::Context;
use crate::failure::Failure;
use crate::interrupt::Interrupt;

/// The AMI that a launch starts an image from.
pub async fn of_image(
    context: &Context,
    connection: &Connection,
    image: &Image,
    launch: &LaunchOptions,
    name: &str,
    interrupt: &Interrupt,
) -> Result<AmiFacts, Failure> {
    let turn = turn(&image.sha256);
    let _turn = tokio::select! {
        turn = turn.lock() => turn,
        () = interrupt.asked() => return Err(Failure::Interrupted),
    };
    let file = DiskFile::of(context, image).await?;
    let request = AmiRequest {
        disk: &file.0,
        arch: image.arch,
        name,
        owner: launch.owner.as_deref(),
        expires: launch.expires,
        holds: AmiContent::Image(&image.sha256),
    };
    Ok(built(connection, &request, interrupt).await?.ami)
}

/// Whose turn it is to make the AMI of an image.
fn turn(sum: &str) -> Arc<tokio::sync::Mutex<()>> {
    static TURNS: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>> =
        Mutex::new(BTreeMap::new());
    let mut turns = TURNS.lock().unwrap_or_else(PoisonError::into_inner);
    turns.entry(sum.to_owned()).or_default().clone()
}

/// An AMI that starts an EFI binary from its disk.
pub async fn of_disk(
    context: &Context,
    connection: &Connection,
    image: &Image,
    request: &AmiRequest<'_>,
    interrupt: &Interrupt,
) -> Result<BuiltAmi, Failure> {
    let file = DiskFile::of(context, image).await?;
    built(connection, &AmiRequest { disk: &file.0, ..*request }, interrupt).await
}

/// The calls that would make it; none if it is there.
pub async fn planned_ami(
    context: &Context,
    connection: &Connection,
    image: &Image,
    request: &AmiRequest<'_>,
) -> Result<Vec<PlannedCall>, Failure> {
    let file = DiskFile::of(context, image).await?;
    let request = AmiRequest { disk: &file.0, ..*request };
    Ok(connection.cloud.planned_ami(&request).await?)
}

/// What a rehearsal puts in the place of an AMI that a launch would make first.
pub fn to_be_made(image: &Image) -> AmiFacts {
    AmiFacts {
        id: "ami-(to be made)".to_owned(),
        name: "the image on a disk".to_owned(),
        arch: image.arch,
        boot_mode: Some(BootMode::Uefi),
        created: Timestamp::now(),
        owner: AmiOwner::Own,
        imds_v1_only: false,
        image: Some(image.sha256.clone()),
    }
}

async fn built(
    connection: &Connection,
    request: &AmiRequest<'_>,
    interrupt: &Interrupt,
) -> Result<BuiltAmi, Failure> {
    tokio::select! {
        built = connection.cloud.build_ami(request) => Ok(built?),
        () = interrupt.asked() => Err(Failure::Interrupted),
    }
}

/// A disk in the cache; removed when dropped.
struct DiskFile(Utf8PathBuf);

impl DiskFile {
    /// Writes a disk from which firmware starts `image`, on a thread that may wait.
    async fn of(context: &Context, image: &Image) -> Result<Self, Failure> {
        let folder = context.cache()?.join("disks");
        let process = std::process::id();
        let path = folder.join(format!("{}-{process}.img", &image.sha256[..16]));
        let (file, image) = (Self(path.clone()), image.clone());
        let write = move || {
            fs_err::create_dir_all(&folder)?;
            Ok::<_, Failure>(write_disk(&path, &image, &DiskOptions::default())?)
        };
        tokio::task::spawn_blocking(write).await.map_err(std::io::Error::other)??;
        Ok(file)
    }
}

impl Drop for DiskFile {
    fn drop(&mut self) {
        // One that was not written cannot be removed, and need not be.
        let _ = fs_err::remove_file(&self.0);
    }
}
