//! Disks of instances, from the launch that maps them to their deletion.

use crate::ec2::tests::{UEFI, all, launch};
use crate::fixture::TestTwin;

#[tokio::test(flavor = "multi_thread")]
async fn disks_are_what_the_launch_maps_and_outlive_it_if_they_shall() {
    let mut twin = TestTwin::new().await;
    let map = |number: u32, more: &str| {
        more.split('&').map(|one| format!("&BlockDeviceMapping.{number}.{one}")).collect::<String>()
    };
    let root = map(1, "DeviceName=/dev/sda1&Ebs.VolumeSize=3&Ebs.DeleteOnTermination=false");
    let refused = [
        (map(1, "DeviceName=/dev/sdb&Ebs.VolumeType=gp3"), "InvalidBlockDeviceMapping"),
        (
            map(1, "DeviceName=/dev/sdb&Ebs.SnapshotId=snap-0123456789abcdef0"),
            "InvalidSnapshot.NotFound",
        ),
        (
            map(1, "DeviceName=/dev/sda1&Ebs.SnapshotId=snap-0123456789abcdef0"),
            "InvalidBlockDeviceMapping",
        ),
        (map(1, "DeviceName=/dev/sda1&NoDevice="), "InvalidBlockDeviceMapping"),
        (root.clone() + &map(2, "DeviceName=/dev/sda1"), "InvalidBlockDeviceMapping"),
        (map(1, "DeviceName=/dev/sdb&Ebs.VolumeSize=20000"), "InvalidParameterValue"),
        (map(1, "DeviceName=/dev/sdb&Ebs.VolumeSize=1&Ebs.Encrypted=true"), "UnsupportedOperation"),
        (map(1, "Ebs.VolumeSize=1"), "MissingParameter"),
    ];
    for (mapping, code) in refused {
        assert_eq!(twin.code(&launch(UEFI, "t3.nano", &mapping)), code, "{mapping}");
    }
    let more = map(2, "DeviceName=/dev/sdb&Ebs.VolumeSize=5")
        + &map(3, "DeviceName=/dev/sdc&Ebs.VolumeSize=2&Ebs.DeleteOnTermination=true")
        + &map(4, "DeviceName=/dev/sdd&VirtualName=ephemeral0");
    let id = twin.run(UEFI, "t3.nano", &(root + &more));
    twin.wait(&id, "running").await;
    let volumes = twin.call("Action=DescribeVolumes");
    assert_eq!(all(&volumes, "size"), ["3", "5", "2"]);
    assert_eq!(all(&volumes, "deleteOnTermination"), ["false", "false", "true"]);
    let shown = twin.call(&format!("Action=DescribeInstances&InstanceId.1={id}"));
    let disk = all(&shown, "volumeId")[1].clone();
    assert_eq!(all(&shown, "deviceName"), ["/dev/sda1", "/dev/sdb", "/dev/sdc"]);
    let file = twin.twin.store.instance_dir(&id).join(format!("{disk}.img"));
    assert_eq!(fs_err::metadata(&file).unwrap().len(), 5 << 30);
    let mapping = "BlockDeviceMapping.1.DeviceName=/dev/sda1\
                   &BlockDeviceMapping.1.Ebs.DeleteOnTermination=true";
    twin.call(&format!("Action=ModifyInstanceAttribute&InstanceId={id}&{mapping}"));
    assert_eq!(twin.code(&format!("Action=DeleteVolume&VolumeId={disk}")), "VolumeInUse");
    twin.call(&format!("Action=CreateTags&ResourceId.1={disk}&Tag.1.Key=k&Tag.1.Value=v"));
    twin.call(&format!("Action=TerminateInstances&InstanceId.1={id}&SkipOsShutdown=true"));
    twin.wait(&id, "terminated").await;
    twin.reopen().await;
    let volumes = twin.call("Action=DescribeVolumes");
    assert_eq!(
        (all(&volumes, "volumeId"), all(&volumes, "size")),
        (vec![disk.clone()], vec!["5".into()])
    );
    assert!(volumes.contains("<status>available</status>") && volumes.contains("<key>k</key>"));
    assert!(!file.exists() && twin.twin.config.dir.join(format!("volumes/{disk}.img")).exists());
    twin.call(&format!("Action=DeleteVolume&VolumeId={disk}"));
    twin.reopen().await;
    assert!(all(&twin.call("Action=DescribeVolumes"), "volumeId").is_empty());
    assert_eq!(
        twin.code(&format!("Action=DeleteVolume&VolumeId={disk}")),
        "InvalidVolume.NotFound"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_of_a_volume_that_was_being_deleted_is_cleared() {
    let mut twin = TestTwin::new().await;
    let left = twin.twin.config.dir.join("volumes/vol-0123456789abcdef0.img");
    fs_err::write(&left, "").unwrap();
    twin.reopen().await;
    assert!(!left.exists());
}
