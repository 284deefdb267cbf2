//! Opens, selects, and closes tabs, and enters frames.

use fantoccini::wd::WindowHandle;

use super::Browser;

impl Browser {
    /// Opens a URL in a new tab and switches to the tab.
    #[track_caller]
    pub fn open_in_tab(&self, url: &str) -> WindowHandle {
        let tab = self.run("open a tab", self.client.new_window(true)).handle;
        self.switch_to(&tab);
        self.open(url);
        tab
    }

    #[track_caller]
    pub fn switch_to(&self, tab: &WindowHandle) {
        let switch = self.client.switch_to_window(tab.clone());
        self.run("switch to a tab", switch);
    }

    /// Closes the current tab. The next step must be [`Self::switch_to`].
    #[track_caller]
    pub fn close_tab(&self) {
        self.run("close a tab", self.client.close_window());
    }

    /// Makes all further steps apply to the page's first frame, until another page is opened.
    #[track_caller]
    pub fn enter_frame(&self) {
        self.run("enter a frame", self.client.enter_frame(0));
    }
}
