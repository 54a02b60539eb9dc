"""What the App can do, a part a file; `lvmtui.app` puts them together."""
