// Names the build puts in.

/** Whether the recorded port is part of this bundle. Never in the production build. */
declare const __RECORDED__: boolean;
